/* SPDX-License-Identifier: MIT */
/*
 * Colours and fonts of the SVG, and its texts. Owns nothing. One thread.
 *
 * The colours are those of docs/drawing.md. Each declaration is there twice: for renderers that know nothing of variables, and
 * for those that do, which then also know light and dark. On paper it is light.
 */
#include "svg.h"

#include <math.h>
#include <stdlib.h>

#include "label.h"

struct colors {
    const char *solid, *on, *tint, *edge;
};

static const char *const classes[LOOKS] = {
    [LOOK_CONTAINER] = "container", [LOOK_RAM] = "ram",           [LOOK_ROM] = "rom",
    [LOOK_ROMD] = "romd",           [LOOK_RAMD] = "ramd",         [LOOK_DEVICE] = "device",
    [LOOK_IOMMU] = "iommu",         [LOOK_RESERVED] = "reserved", [LOOK_ALIAS] = "alias",
};

static const char *const kinds[LOOKS] = {
    [LOOK_CONTAINER] = "container",  [LOOK_RAM] = "RAM",       [LOOK_ROM] = "ROM",     [LOOK_ROMD] = "ROM device",
    [LOOK_RAMD] = "RAM of a device", [LOOK_DEVICE] = "device", [LOOK_IOMMU] = "IOMMU", [LOOK_RESERVED] = "reserved",
    [LOOK_ALIAS] = "alias",
};

static const struct colors light[LOOKS] = {
    [LOOK_RAM] = {"#3b6ea5", "#ffffff", "#dde9f5", "#3b6ea5"},
    [LOOK_ROM] = {"#e2a233", "#221600", "#fbedd0", "#a36c00"},
    [LOOK_ROMD] = {"#6c7018", "#ffffff", "#eeefcf", "#6c7018"},
    [LOOK_RAMD] = {"#5359c0", "#ffffff", "#e4e5f9", "#5359c0"},
    [LOOK_DEVICE] = {"#8b4a9f", "#ffffff", "#f1e3f5", "#8b4a9f"},
    [LOOK_IOMMU] = {"#b03a48", "#ffffff", "#f9e1e4", "#b03a48"},
    [LOOK_CONTAINER] = {"#667080", "#ffffff", "#f4f6f9", "#8791a1"},
    [LOOK_ALIAS] = {"#0c7a77", "#ffffff", "#dcf1ef", "#0c7a77"},
    [LOOK_RESERVED] = {"#6b7280", "#ffffff", "#e9ecf0", "#79828f"},
};

static const struct colors dark[LOOKS] = {
    [LOOK_RAM] = {"#6fa5dc", "#07121e", "#1c2e42", "#6fa5dc"},
    [LOOK_ROM] = {"#e8b04a", "#1d1300", "#3c2e13", "#e8b04a"},
    [LOOK_ROMD] = {"#b3b850", "#151600", "#30321a", "#b3b850"},
    [LOOK_RAMD] = {"#969bf0", "#0d0e2b", "#282b4d", "#969bf0"},
    [LOOK_DEVICE] = {"#c58ad6", "#1c0a22", "#392740", "#c58ad6"},
    [LOOK_IOMMU] = {"#ee8591", "#26070b", "#432329", "#ee8591"},
    [LOOK_CONTAINER] = {"#98a3b3", "#0e1319", "#1a2129", "#5f6b7b"},
    [LOOK_ALIAS] = {"#4fbdb8", "#03201f", "#153533", "#4fbdb8"},
    [LOOK_RESERVED] = {"#98a3b3", "#0e1319", "#262e38", "#7c8797"},
};

/* Not of a kind: page, ink, muted, rule. */
static const char *const others[] = {"page", "ink", "muted", "rule"};
static const char *const others_light[] = {"#ffffff", "#1b2330", "#566072", "#d5dbe3"};
static const char *const others_dark[] = {"#12171e", "#e7ecf3", "#9ba7b8", "#333d4a"};

const char *svg_class(enum look look)
{
    return classes[look];
}

const char *svg_kind(enum look look)
{
    return kinds[look];
}

static void variables(FILE *out, const char *const *plain, const struct colors *colors)
{
    for (int i = 0; i < 4; i++)
        fprintf(out, "--%s:%s;", others[i], plain[i]);
    for (int i = 0; i < LOOKS; i++)
        fprintf(out, "--%s:%s;--%s-on:%s;--%s-tint:%s;--%s-edge:%s;", classes[i], colors[i].solid, classes[i],
                colors[i].on, classes[i], colors[i].tint, classes[i], colors[i].edge);
}

static void rule(FILE *out, const char *selector, const char *property, int other)
{
    fprintf(out, "%s{%s:%s;%s:var(--%s)}\n", selector, property, others_light[other], property, others[other]);
}

static const char fonts[] = "text{white-space:pre;pointer-events:none}\n"
                            ".n{font:11px \"DejaVu Sans Mono\",Menlo,Consolas,\"Liberation Mono\",monospace}\n"
                            ".a,.an{font:10px \"DejaVu Sans Mono\",Menlo,Consolas,\"Liberation Mono\",monospace}\n"
                            ".m{font:9px \"DejaVu Sans Mono\",Menlo,Consolas,\"Liberation Mono\",monospace}\n"
                            ".p,.pm{font:12px system-ui,\"Helvetica Neue\",Arial,\"DejaVu Sans\",sans-serif}\n"
                            ".h{font:600 15px system-ui,\"Helvetica Neue\",Arial,\"DejaVu Sans\",sans-serif}\n"
                            ".t{font:600 20px system-ui,\"Helvetica Neue\",Arial,\"DejaVu Sans\",sans-serif}\n"
                            ".b{font-weight:600}\n"
                            ".c{text-anchor:middle}\n"
                            ".e{text-anchor:end}\n"
                            ".box{stroke-width:1}\n"
                            ".hatch{fill:url(#hatch);stroke:none;pointer-events:none}\n"
                            ".fold{fill:none;stroke-width:1.2;stroke-linejoin:round}\n"
                            ".line,.off{fill:none;stroke-width:1.2}\n"
                            ".off{stroke-dasharray:3 3;stroke-opacity:.6}\n";

void svg_style(FILE *out)
{
    fputs("<style>\n:root{", out);
    variables(out, others_light, light);
    fputs("}\n@media screen and (prefers-color-scheme:dark){:root{", out);
    variables(out, others_dark, dark);
    fputs("}}\n", out);
    fputs(fonts, out);
    rule(out, ".page", "fill", 0);
    rule(out, "text", "fill", 1);
    rule(out, ".a,.pm,.mm", "fill", 2);
    rule(out, ".grid", "stroke", 3);
    rule(out, ".axis,.fold", "stroke", 2);
    rule(out, ".hatching", "stroke", 1);
    for (int i = 0; i < LOOKS; i++) {
        const char *class = classes[i];

        fprintf(out, ".s-%s{fill:%s;fill:var(--%s)}\n", class, light[i].solid, class);
        fprintf(out, ".o-%s{fill:%s;fill:var(--%s-on)}\n", class, light[i].on, class);
        fprintf(out, ".b-%s{fill:%s;fill:var(--%s-tint);stroke:%s;stroke:var(--%s-edge)}\n", class, light[i].tint,
                class, light[i].edge, class);
    }
    fprintf(out, ".alias{stroke:%s;stroke:var(--alias);stroke-width:1.5}\n", light[LOOK_ALIAS].solid);
    fprintf(out, ".line,.off{stroke:%s;stroke:var(--alias)}\n", light[LOOK_ALIAS].solid);
    fprintf(out, ".tip{fill:%s;fill:var(--alias)}\n", light[LOOK_ALIAS].solid);
    fprintf(out, ".no{fill:%s;fill:var(--page);stroke-dasharray:3 2;stroke-width:1;stroke-opacity:.75}\n",
            others_light[0]);
    fprintf(out, ".frame{fill:%s;fill:var(--container-tint);fill-opacity:.55;stroke:%s;stroke:var(--rule)}\n",
            light[LOOK_CONTAINER].tint, others_light[3]);
    fputs("</style>\n<defs><pattern id=\"hatch\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" "
          "patternTransform=\"rotate(45)\"><path class=\"hatching\" d=\"M1 0V5\" stroke-width=\"1.4\" "
          "stroke-opacity=\".2\"/></pattern></defs>\n",
          out);
}

void svg_text(FILE *out, const char *bytes)
{
    char *text = label_text(bytes);

    for (const char *c = text; *c; c++)
        switch (*c) {
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '&':
            fputs("&amp;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc(*c, out);
        }
    free(text);
}

void svg_number(FILE *out, const char *name, double value)
{
    long halves = lround(value * 2);

    fprintf(out, " %s=\"%s%ld%s\"", name, halves < 0 ? "-" : "", labs(halves) / 2, halves % 2 ? ".5" : "");
}
