#!/usr/bin/env bash
# EMR's bootstrap action "Libraries Installation": puts the pinned libraries into Python 3.11, system-wide.
# Runs as user hadoop on every node before Spark is there; docs/emr-assets.md says why each step is as it is.
#
#   emr_bootstrap.sh REQUIREMENTS_S3_URI                     from PyPI
#   emr_bootstrap.sh REQUIREMENTS_S3_URI WHEELHOUSE_S3_URI   from the wheelhouse, without internet
set -euo pipefail
umask 022 # root's files must be readable by the users that run jobs

PYTHON=${PYSPARK_PYTHON:-/usr/bin/python3.11} # as in software_settings.json; no node has the variable set yet

die() {
  echo "emr_bootstrap: $*" >&2
  exit 1
}
trap 'echo "emr_bootstrap: unexpected failure in line $LINENO" >&2' ERR

[[ $# -eq 1 || $# -eq 2 ]] || die "wrong arguments: given $#; allowed: REQUIREMENTS_S3_URI [WHEELHOUSE_S3_URI]"
for uri in "$@"; do
  [[ $uri == s3://?*/?* ]] || die "no S3 address: given '$uri'; allowed: s3://bucket/key"
done
machine=$(uname -m)
[[ $machine == x86_64 ]] || die "wrong architecture: given $machine; allowed: x86_64, as python-dp has no other wheels"
[[ -x $PYTHON ]] || die "no Python 3.11: given $PYTHON; allowed: an image with it, such as emr-7.13.0"
version=$("$PYTHON" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])') || die "no Python 3.11: $PYTHON does not run"
[[ $version == 3.11 ]] || die "wrong Python: given $version at $PYTHON; allowed: 3.11"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fetch() { # fetch S3_URI FILE
  aws s3 cp --only-show-errors "$1" "$2" || die "cannot read $1: does it exist, and may the instance role read it?"
}

# Exit 0 when every pin of the list is installed whole and its native code loads; else a line for each that is not.
check() {
  "$PYTHON" -I - "$1" <<'EOF'
import importlib
import importlib.metadata as metadata
import re
import sys

# What fails here would fail at the first query. Tumult's own modules need Spark, which is not there yet.
LOADS = {
    "boto3": "boto3", "dill": "dill", "numpy": "numpy", "pandas": "pandas", "pipeline-dp": "pipeline_dp",
    "pyarrow": "pyarrow", "python-dp": "pydp.algorithms.numerical_mechanisms", "randomgen": "randomgen",
    "scipy": "scipy.stats", "sympy": "sympy", "tmlt-core": "tmlt.core.utils.arb", "typeguard": "typeguard",
}
wrong = []
with open(sys.argv[1], encoding="utf-8") as text:
    pins = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text.read(), re.MULTILINE)
if not pins:
    wrong.append("no pins in the requirements: allowed: lines NAME==VERSION --hash=…")
for name, pinned in pins:
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        wrong.append(f"{name} is missing: allowed: {pinned}")
        continue
    if found.version != pinned:
        wrong.append(f"{name} is not at its pin: given {found.version}; allowed: {pinned}")
        continue
    if (found.read_text("INSTALLER") or "").strip() == "rpm":
        continue  # the image's own, which keeps no list of its files
    # bytecode is made anew on the node, also where numpy's wheel carries some
    files = [file for file in found.files or [] if file.size is not None and file.suffix != ".pyc"]
    if not files or any(not f.locate().is_file() or f.locate().stat().st_size != f.size for f in files):
        wrong.append(f"{name} {pinned} is not whole")
for name, module in LOADS.items():
    if not wrong and name in dict(pins):
        try:
            importlib.import_module(module)
        except Exception as error:
            wrong.append(f"{name} does not load: {type(error).__name__}: {error}")
for line in wrong:
    print(f"emr_bootstrap: {line}", file=sys.stderr)
sys.exit(bool(wrong))
EOF
}

fetch "$1" "$work/requirements.txt"
if check "$work/requirements.txt" 2>/dev/null; then
  echo "emr_bootstrap: all libraries are already at their pins"
  exit 0
fi

if ! "$PYTHON" -I -m pip --version >/dev/null 2>&1; then
  # dnf's repositories may be out of reach in isolated mode: never wait for them for long
  timeout 300 sudo dnf install -y -q python3.11-pip ||
    echo "emr_bootstrap: dnf could not install python3.11-pip; trying the pip that Python carries" >&2
  "$PYTHON" -I -m pip --version >/dev/null 2>&1 || sudo "$PYTHON" -I -m ensurepip >/dev/null ||
    die "no pip: neither dnf install python3.11-pip nor ensurepip worked"
fi

# No variable or user's file of pip's can change what is installed; the hashes hold wherever it comes from.
# An image's own /etc/pip.conf (its mirror, its certificate) is honoured, except with the wheelhouse.
settings=(-u PIP_CONFIG_FILE)
origin=(--retries 5 --timeout 60)
if [[ $# -eq 2 ]]; then
  fetch "$2" "$work/wheelhouse.zip"
  "$PYTHON" -I -m zipfile -e "$work/wheelhouse.zip" "$work" >/dev/null 2>&1 ||
    die "no zip: given $2; allowed: the wheelhouse of 'make wheelhouse'"
  cmp -s "$work/requirements.txt" "$work/wheels/requirements.txt" ||
    die "the wheelhouse is of another list than $1: given $2; allowed: one made by 'make wheelhouse' since"
  settings=(PIP_CONFIG_FILE=/dev/null)
  origin=(--no-index --find-links "$work/wheels")
fi
sudo env "${settings[@]}" "$PYTHON" -I -m pip --isolated install --quiet --no-input --no-cache-dir \
  --disable-pip-version-check --root-user-action=ignore --only-binary=:all: --no-deps --require-hashes \
  "${origin[@]}" -r "$work/requirements.txt" || die "pip could not install the pinned libraries; its reason stands above"

check "$work/requirements.txt" || die "the libraries are installed but do not work; the reasons stand above"
echo "emr_bootstrap: the libraries are at their pins for $PYTHON"
