"""What must not stay in a text, a file a kind of thing; a new rule goes where its like are.

``payments``     cards, accounts, wallets, devices, national identity numbers, amounts
``contacts``     e-mail, telephone, network addresses, what URLs carry
``vendors``      keys and tokens in the published form of a known service: one row a service
``credentials``  passwords, keys, tokens and cookies, by their shape or by the name in front of them
``accounts``     user names and numbers, by the words around them
``literals``     what a program quotes from its input: SQL, refused values, people's names

``rule`` says what a rule is, and ``checks`` tells what is somebody's from what only looks like it.  Add lines with
the new kind, and ordinary ones that look like it, to ``tests/sdk/obfuscate/labelled``.
"""

from __future__ import annotations

from typing import Final

from calos_telemetry.sdk.obfuscate.rules import accounts, contacts, credentials, literals, payments, vendors
from calos_telemetry.sdk.obfuscate.rules.rule import Rule

SHAPES: Final[tuple[Rule, ...]] = (*payments.RULES, *contacts.RULES, *vendors.RULES, *credentials.RULES)
BY_CONTEXT: Final[tuple[Rule, ...]] = (*accounts.RULES, *literals.RULES)
"""Rules that know a thing only by the words around it."""

RULES: Final = SHAPES + BY_CONTEXT
"""In order of precedence: of two rules that find the same place, the earlier one names it."""
