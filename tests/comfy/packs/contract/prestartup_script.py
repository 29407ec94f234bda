"""Runs before the pack is imported."""

import builtins

builtins.contract_prestarted = True
