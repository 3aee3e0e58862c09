"""The key pair that the cloud hands to guests: the first kind that it takes."""

from __future__ import annotations

import re
from dataclasses import replace

from vrbench.cloud.api.facade import Param
from vrbench.cloud.build.making import Making, make
from vrbench.cloud.build.steps import BuildContext
from vrbench.cloud.errors import CloudRefused
from vrbench.parallel import CancelToken
from vrbench.remote.keys import kind_of

# "Public key is invalid"; not "A key pair with key … already exists".
_NO_SUCH_KEY = re.compile(r"\bkey\b.*\b(invalid|unsupported|not (valid|supported|allowed))", re.IGNORECASE)


def register_key(context: BuildContext) -> str:
    """Give the cloud the first of the run's keys that it takes; return its name. Raises CloudError or JournalError."""
    *others, last = context.plan.public_keys
    for public in others:
        try:
            alone = replace(context, stop=CancelToken())  # a refusal ends whatever goes on beside it, and no more
            return make(alone, _making(context, public))
        except CloudRefused as refused:
            if not _NO_SUCH_KEY.search(refused.text):
                raise
            context.progress(f"this cloud takes no {kind_of(public)} key ({refused.text}): another kind is tried")
    return make(context, _making(context, last))


def _making(context: BuildContext, public: str) -> Making[str]:
    first = public == context.plan.public_keys[0]
    name = context.named("key" if first else f"key-{kind_of(public)}")
    sent: dict[str, Param] = {"name": name, "publickey": public}
    return Making("keypair", name, context.noted(name=name), "registerSSHKeyPair", sent, lambda _: name)
