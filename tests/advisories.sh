#!/bin/sh
# Holds Cargo.lock against an advisory database that is given as a folder, without network: a clone or an unpacked archive of
# RustSec's advisory-db, or another one of its layout (crates/NAME/ID.md with TOML in front).
#
#     sh tests/advisories.sh DIR [Cargo.lock]
#
# Exit 0: nothing known against a version that is locked. 1: something is, and each is listed with the versions that mend it.
# 2: the database or the lock file cannot be used. Advisories that only inform (unmaintained, unsound, notice) are listed and do
# not fail. Needs python3 3.11 or later, for its TOML. `cargo audit --db DIR --no-fetch` says the same where it is installed.
set -eu
here=$(dirname "$0")
if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: sh tests/advisories.sh DIR [Cargo.lock]" >&2
    exit 2
fi
exec python3 - "$1" "${2:-$here/../Cargo.lock}" <<'PYTHON'
import pathlib
import re
import sys

try:
    import tomllib
except ImportError:
    print("advisories: python3 3.11 or later is needed", file=sys.stderr)
    sys.exit(2)


def unusable(what):
    print(f"advisories: {what}", file=sys.stderr)
    sys.exit(2)


def version(text):
    """A version as a tuple that compares as SemVer has it: a pre-release is less than its release."""
    found = re.fullmatch(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+.*)?", text.strip())
    if not found:
        raise ValueError(f"`{text}` is no version")
    numbers = tuple(int(part or 0) for part in found.groups()[:3])
    parts = found[4].split(".") if found[4] else []
    before = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)
    return (*numbers, not parts, before)


def below(text):
    """What `^text` excludes above: the next version that may break."""
    parts = [int(part) for part in re.split(r"[-+]", text)[0].split(".")]
    for at, part in enumerate(parts):
        if part or at == len(parts) - 1:
            return version(".".join(str(part) for part in [*parts[:at], part + 1]))
    raise ValueError(text)


def meets(given, requirement):
    """Whether a version meets all of `>= 1.2, < 2`."""
    for one in requirement.split(","):
        operator, text = re.fullmatch(r"\s*(>=|<=|>|<|=|\^|~)?\s*(\S+)\s*", one).groups()
        if text == "*":
            continue
        least = version(text)
        parts = text.split(".")
        fits = {
            ">=": lambda: given >= least,
            "<=": lambda: given <= least,
            ">": lambda: given > least,
            "<": lambda: given < least,
            "=": lambda: given == least,
            "^": lambda: least <= given < below(text),
            "~": lambda: least <= given
            < version(f"{parts[0]}.{int(parts[1]) + 1}" if len(parts) > 1 else str(int(parts[0]) + 1)),
        }
        if not fits[operator or "^"]():
            return False
    return True


def advisories(folder):
    """Each as (file, its TOML). Both forms are read: TOML between ``` in Markdown, and TOML alone."""
    for file in sorted(folder.glob("crates/*/*")):
        if file.suffix not in (".md", ".toml"):
            continue
        text = file.read_text(encoding="utf-8")
        fenced = re.match(r"\s*```toml\n(.*?)\n```", text, re.DOTALL)
        if file.suffix == ".md" and not fenced:
            unusable(f"`{file}` has no TOML in front")
        yield file, tomllib.loads(fenced[1] if fenced else text)


def main(folder, lock):
    try:
        packages = tomllib.loads(pathlib.Path(lock).read_text(encoding="utf-8"))["package"]
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        unusable(f"`{lock}` cannot be read: {error}")
    locked = {}
    for package in packages:
        locked.setdefault(package["name"], set()).add(package["version"])
    known = found = 0
    for file, told in advisories(pathlib.Path(folder)):
        known += 1
        try:
            about = told["advisory"]
            versions = told.get("versions", {})
            patched, unaffected = versions.get("patched", []), versions.get("unaffected", [])
            if "withdrawn" in about:
                continue
            for text in sorted(locked.get(about["package"], ())):
                given = version(text)
                if any(meets(given, requirement) for requirement in [*patched, *unaffected]):
                    continue
                informs = about.get("informational")
                found += not informs
                print(
                    f"{about['package']} {text}: {about['id']}"
                    f"{f' ({informs})' if informs else ''}, patched: {'; '.join(patched) or 'none'}"
                )
        except (KeyError, ValueError, AttributeError, TypeError) as error:
            unusable(f"`{file}` is not understood: {error!r}")
    if known == 0:
        unusable(f"`{folder}` has no advisory in crates/NAME/: is it the root of a database?")
    print(f"{known} advisories, {len(packages)} packages: {found} of the advisories are against what is locked")
    return 1 if found else 0


sys.exit(main(*sys.argv[1:]))
PYTHON
