#!/bin/sh
# The browser the tests drive: used where it is, installed where that is possible, else the browser tests say so and skip.
set -u
for browser in chromium chromium-browser google-chrome; do
    command -v "$browser" >/dev/null 2>&1 && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium) >/dev/null 2>&1 && exit 0
fi
echo "No Chromium found: the browser tests will be skipped. Install it (Debian: apt-get install chromium) to run them."
