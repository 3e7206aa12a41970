#!/usr/bin/env bash
# EMR's bootstrap action "Libraries Installation": unpacks the pinned libraries, an environment of Python 3.11.
# Runs as user hadoop on every node before Spark is there; docs/emr-assets.md says why each step is as it is.
#
#   emr_bootstrap.sh ENVIRONMENT_S3_URI      the archive of `make environment`
set -euo pipefail
umask 022 # root's files must be readable by the users that run jobs

PYTHON=${PYSPARK_PYTHON:-/opt/dpcloud/bin/python} # as in software_settings.json; no node has the variable set yet
HOME_OF_IT=${PYTHON%/bin/python}

die() {
  echo "emr_bootstrap: $*" >&2
  exit 1
}
trap 'echo "emr_bootstrap: unexpected failure in line $LINENO" >&2' ERR

[[ $# -eq 1 ]] || die "wrong arguments: given $#; allowed: ENVIRONMENT_S3_URI"
[[ $1 == s3://?*/?*.tar.gz ]] || die "no S3 address: given '$1'; allowed: s3://bucket/key.tar.gz"
[[ $HOME_OF_IT == /*/?* && $HOME_OF_IT != "$PYTHON" ]] ||
  die "no place for the environment: given PYSPARK_PYTHON=$PYTHON; allowed: /FOLDER/NAME/bin/python"
machine=$(uname -m)
[[ $machine == x86_64 ]] || die "wrong architecture: given $machine; allowed: x86_64, as python-dp has no other wheels"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

aws s3 cp --only-show-errors "$1" "$work/environment.tar.gz" ||
  die "cannot read $1: does it exist, and may the instance role read it?"
sudo rm -rf "$HOME_OF_IT" # a second run puts the same in its place
sudo mkdir -p "$HOME_OF_IT"
sudo tar --extract --gzip --file "$work/environment.tar.gz" --directory "$HOME_OF_IT" --no-same-owner ||
  die "not the archive of 'make environment': given $1"

base=$(readlink -m "$PYTHON")
[[ -x $PYTHON ]] || die "no Python 3.11: given $base; allowed: an image with it, such as emr-7.13.0"
version=$("$PYTHON" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])') || die "no Python 3.11: $base does not run"
[[ $version == 3.11 ]] || die "wrong Python: given $version at $base; allowed: 3.11"

# Compiled once here, for the users that run jobs may not write there. What a library ships in an older Python's
# language, and never imports, does not compile: the next step looks at what is imported.
sudo "$PYTHON" -I -m compileall -q -j 0 "$HOME_OF_IT/lib" >/dev/null 2>&1 || true

# What fails here would fail at the first query. Tumult Analytics needs Spark, which is not there yet.
"$PYTHON" -I - <<'EOF' || die "the libraries are there but do not work; the reasons stand above"
import importlib
import sys

wrong = 0
for name in ("boto3", "diffprivlib.mechanisms", "dill", "numpy", "opendp.measurements", "pandas", "pipeline_dp",
             "pyarrow", "pydp.algorithms.numerical_mechanisms", "randomgen", "scipy.stats", "sklearn", "sympy",
             "tmlt.core.utils.arb", "typeguard", "wrapt"):  # fmt: skip
    try:
        importlib.import_module(name)
    except Exception as error:
        wrong += 1
        print(f"emr_bootstrap: {name} does not load: {type(error).__name__}: {error}", file=sys.stderr)
sys.exit(bool(wrong))
EOF
echo "emr_bootstrap: the libraries are at their pins for $PYTHON"
