#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run_models.sh - what ./dev test runs: all models, all variants. README.md says what they are.
exec python3 -B "$(dirname "$0")/check_models.py" "$@"
