"""What the host has for gmem-pc, and how to hide it: shared by the pc-* scripts."""

import fcntl
import os
import shutil
import subprocess

KVM_GET_API_VERSION, KVM_API_VERSION = 0xAE00, 12


def without_kvm():
    """Why there is no KVM to be used here, or None."""
    try:
        with open("/dev/kvm", "rb+", buffering=0) as device:
            version = fcntl.ioctl(device, KVM_GET_API_VERSION)
    except OSError as error:
        return f"no usable /dev/kvm: {error.strerror}"
    return None if version == KVM_API_VERSION else f"/dev/kvm speaks version {version} of KVM's interface"


def accel():
    """The processors for tests that only need some."""
    return "interp" if without_kvm() else "kvm"


# What /dev/kvm may be instead of what it is, by how a shell makes it so in a mount namespace of its own.
HIDDEN = {
    "not there": "mount -t tmpfs none /dev",
    "not KVM": "mount --bind /dev/null /dev/kvm",
}


def hidden(how):
    """(words that run a command with /dev/kvm hidden, None), or (None, why that can't be done here)."""
    if not shutil.which("unshare"):
        return None, "unshare is not installed"
    if how == "not KVM" and not os.path.exists("/dev/kvm"):
        return None, "there is no /dev/kvm to put something else over"
    namespace = ["--mount"] if os.geteuid() == 0 else ["--user", "--map-root-user", "--mount"]
    words = ["unshare", *namespace, "sh", "-c", HIDDEN[how] + ' && exec "$0" "$@"']
    tried = subprocess.run([*words, "true"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return (words, None) if tried.returncode == 0 else (None, f"no mount namespace: {tried.stderr.strip()}")
