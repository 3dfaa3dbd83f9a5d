#!/usr/bin/env bash
# Copyright The Kurator Migrate Authors.
# SPDX-License-Identifier: Apache-2.0

# Fails if a rule of the monitoring component or an expression of the dashboard is not valid, if a test of the alerts fails, or if
# an alert has no runbook. That the server exports the metrics in them is checked by test/e2e.

set -o errexit
set -o nounset
set -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

make --no-print-directory _output/bin/promtool
promtool="${PWD}/_output/bin/promtool"
work="$(mktemp -d)"
trap 'rm -rf "${work}"' EXIT
rule=artifacts/deploy/components/monitoring/prometheusrule.yaml

# What is below spec is a file of rules.
sed -n '/^spec:$/,$ s/^  //p' "${rule}" >"${work}/rules.yaml"
cp artifacts/monitoring/rules_test.yaml "${work}"
"${promtool}" check rules --lint-fatal "${work}/rules.yaml" >/dev/null
"${promtool}" test rules "${work}/rules_test.yaml" >"${work}/tests" || { cat "${work}/tests" >&2; exit 1; }

# promtool knows no dashboards: each expression becomes a rule.
{
  echo 'groups: [{name: dashboard, rules: ['
  sed -n 's/^ *"expr": \(".*"\),\{0,1\}$/\1/p' artifacts/monitoring/dashboard.json | sed 's/\$__rate_interval/5m/g' |
    awk '{ printf "{record: \"dashboard:%d\", expr: %s},\n", NR, $0 }'
  echo ']}]'
} >"${work}/dashboard.yaml"
"${promtool}" check rules "${work}/dashboard.yaml" >"${work}/dashboard" || { cat "${work}/dashboard" >&2; exit 1; }

status=0
for alert in $(sed -n 's/^ *- alert: //p' "${rule}"); do
  if ! grep -qx "## ${alert}" docs/runbooks.md || ! grep -qx " *runbook: docs/runbooks.md, ${alert}" "${rule}"; then
    echo "${rule}: alert ${alert} has no runbook in docs/runbooks.md, or does not name it" >&2
    status=1
  fi
done
exit "${status}"
