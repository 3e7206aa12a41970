#!/bin/sh
# The pinned CDK command line on the pinned Node; `make setup` puts this on the environment's PATH as `cdk`.
home=$(dirname "$(readlink -f "$0")")/../cdk
PATH="$home/bin:$PATH" exec "$home/bin/node" "$home/node_modules/aws-cdk/bin/cdk" "$@"
