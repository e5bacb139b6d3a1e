# SPDX-License-Identifier: MIT
# Completion of gmem's commands, options and their values, in bash. What there is comes from the program's own help, and the names of
# spaces from the FILE on the line.

# The options of a command, a line each: "LETTER NAME VALUE", "-" where there is none; an optional value begins with "=".
_gmem_options() { # PROGRAM COMMAND
    "$1" "$2" --help 2>/dev/null |
        sed -nE 's/^  (-([a-zA-Z]), |    )--([a-z][a-z-]*)(\[=([A-Z]+)\]| ([^ ]+))?(  .*)?$/\2 \3 \5\/\6/p' |
        sed -E 's/^ /- /; s| /([^/]*)$| \1|; s| ([A-Z]+)/$| =\1|; s/ $/ -/'
}

# A word as the shell would take it, without its quoting.
_gmem_plain() { # WORD
    local word=$1
    case $word in
    \"*) word=${word#\"} && word=${word%\"} ;;
    \'*) word=${word#\'} && word=${word%\'} ;;
    *) word=${word//\\/} ;;
    esac
    printf '%s\n' "${word/#\~\//$HOME/}"
}

# The spaces of the inputs on the line; the words are those before and after the one that is completed.
_gmem_spaces() { # PROGRAM COMMAND WORD...
    local program=$1 command=$2 options operands=() files=() with=() word value skip=0
    shift 2
    options=$(_gmem_options "$program" "$command")
    while [ $# -gt 0 ]; do
        word=$(_gmem_plain "$1")
        shift
        case $word in
        --) continue ;;
        --flat=* | --at=*) with+=("$word") ;;
        --qmp=*) files+=("$word") ;;
        --flat | -f | --at) [ $# -gt 0 ] && with+=("$word" "$(_gmem_plain "$1")") && shift ;;
        --qmp) [ $# -gt 0 ] && files+=("$word=$(_gmem_plain "$1")") && shift ;;
        --*=*) ;;
        --*)
            value=$(awk -v name="${word#--}" '$2 == name { print $3 }' <<<"$options")
            case $value in -* | =* | '') ;; *) [ $# -gt 0 ] && shift ;; esac
            ;;
        -?)
            value=$(awk -v letter="${word#-}" '$1 == letter { print $3 }' <<<"$options")
            case $value in -* | =* | '') ;; *) [ $# -gt 0 ] && shift ;; esac
            ;;
        -?*) ;;
        '') ;;
        *) operands+=("$word") ;;
        esac
    done
    [ "$command" = explain ] && skip=1
    files+=("${operands[@]:skip}")
    # Of two inputs, options would have to be told apart: without them, both have the same spaces.
    [ ${#files[@]} -le 1 ] || with=()
    for word in "${files[@]}"; do
        "$program" tree "${with[@]}" "$word" </dev/null 2>/dev/null | sed -n 's/^address-space: //p'
    done | sort -u
}

# Replies are the words that begin as the last one does.
_gmem_reply() { # CURRENT WORD...
    local current=$1 word
    shift
    for word; do
        [[ $word == "$current"* ]] && COMPREPLY+=("$word")
    done
}

_gmem_files() { # CURRENT
    local IFS=$'\n'
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

# What may stand for VALUE in a help.
_gmem_value() { # VALUE CURRENT: uses program, command and words
    local plain name
    case ${1#=} in
    WHEN) _gmem_reply "$2" always never auto ;;
    FILE | FLAT | OUT | SOCKET | TRACE | RECORDING | *FILE*) _gmem_files "$2" ;;
    NAME)
        plain=$(_gmem_plain "$2")
        while read -r name; do
            [[ $name == "$plain"* ]] || continue
            case $2 in
            [\"\']*) COMPREPLY+=("$name") ;;
            *) COMPREPLY+=("$(printf '%q' "$name")") ;;
            esac
        done < <(_gmem_spaces "$program" "$command" "${others[@]}")
        ;;
    *'|'*)
        local IFS='|'
        # shellcheck disable=SC2086 # words between bars
        _gmem_reply "$2" ${1#=}
        ;;
    esac
}

_gmem() {
    local program=${COMP_WORDS[0]} command='' words=() others=() line=$COMP_LINE rest cur prev cword=0 prefix i option value
    COMPREPLY=()
    # bash cuts words at = and : too; what no blank separates is one.
    for i in "${!COMP_WORDS[@]}"; do
        rest=${line#"${line%%[![:blank:]]*}"}
        if [ "$i" = 0 ] || [ "$rest" != "$line" ] || [ -z "${COMP_WORDS[i]}" ]; then
            words+=("${COMP_WORDS[i]}")
        else
            words[${#words[@]} - 1]+=${COMP_WORDS[i]}
        fi
        line=${rest#"${COMP_WORDS[i]}"}
        [ "$i" != "$COMP_CWORD" ] || cword=$((${#words[@]} - 1))
    done
    cur=${words[cword]} prev=${words[cword > 0 ? cword - 1 : 0]}
    # The cursor may stand inside a word.
    prefix=${COMP_WORDS[COMP_CWORD]}
    case $prefix in
    = | :) prefix=$cur ;;
    *) prefix=${cur%"$prefix"} ;;
    esac
    program=${program/#\~\//$HOME/}
    command -v -- "$program" >/dev/null || return 0

    if [ "$cword" -le 1 ]; then
        mapfile -t words < <("$program" help 2>/dev/null | sed -nE 's/^  ([a-z]+)  .*/\1/p')
        [[ $cur != -* ]] || words=(--help --version)
        _gmem_reply "$cur" "${words[@]}"
        return 0
    fi
    command=${words[1]}
    if [ "$command" = help ]; then
        mapfile -t words < <("$program" help 2>/dev/null | sed -nE 's/^  ([a-z]+)  .*/\1/p')
        [ "$cword" != 2 ] || _gmem_reply "$cur" "${words[@]}"
        return 0
    fi
    for i in "${!words[@]}"; do
        [ "$i" -lt 2 ] || [ "$i" = "$cword" ] || others+=("${words[i]}")
    done

    local letters=() names=() values=()
    while read -r option i value; do
        letters+=("$option") names+=("$i") values+=("$value")
    done < <(_gmem_options "$program" "$command")
    # The value of an option: behind its =, or the word after it.
    for i in "${!names[@]}"; do
        value=${values[i]}
        [ "$value" != - ] || continue
        if [[ $cur == "--${names[i]}="* ]]; then
            _gmem_value "$value" "${cur#*=}"
            [ -n "$prefix" ] || COMPREPLY=("${COMPREPLY[@]/#/--${names[i]}=}")
            return 0
        fi
        if [[ $value != =* && ($prev == "--${names[i]}" || $prev == "-${letters[i]}") && $prev != -- ]]; then
            # The option's own value is no FILE of the line.
            for option in "${!others[@]}"; do
                [ "${others[option]}" != "$prev" ] || unset "others[option]"
            done
            others=("${others[@]}")
            _gmem_value "$value" "$cur"
            [ -z "$prefix" ] || COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
            return 0
        fi
    done
    if [[ $cur == -?* || $cur == - ]]; then
        _gmem_reply "$cur" "${names[@]/#/--}"
        # An option that may have a value: its = comes next.
        if [ ${#COMPREPLY[@]} = 1 ]; then
            for i in "${!names[@]}"; do
                [[ ${COMPREPLY[0]} == "--${names[i]}" && ${values[i]} == =* ]] && compopt -o nospace 2>/dev/null
            done
        fi
        return 0
    fi
    [ "$command" = explain ] && [ ${#others[@]} = 0 ] && return 0
    _gmem_files "$cur"
    return 0
}

complete -F _gmem gmem
