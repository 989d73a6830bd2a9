# The client is made when the test runs.
# mypy: ignore-errors
"""A login with the client that openapi-python-client makes, without a hand edit.

Says what it was told, one line of JSON after the other.
"""

import json
import sys
from typing import Any

from phone_client import AuthenticatedClient, Client
from phone_client.api.phone_login import confirm_code, request_code
from phone_client.api.phones import list_phones, make_phone_primary, unlink_phone
from phone_client.models import (
    Challenge,
    CodePurpose,
    CodeRequest,
    CodeRequestErrors,
    ConfirmRefusal,
    ConfirmRequest,
    LastPhoneRefusal,
    Login,
    Unauthenticated,
)
from phone_client.types import UNSET

url, phone, other_phone, code, wrong_code = sys.argv[1:]


def say(told: Any) -> None:
    print(json.dumps(told))


def read(kind: type, told: Any) -> Any:
    assert type(told) is kind, told
    return told


stranger = Client(base_url=url)
body = CodeRequest(phone="12")
say(read(CodeRequestErrors, request_code.sync(client=stranger, body=body)).to_dict())
say(read(Unauthenticated, list_phones.sync(client=stranger)).to_dict())

body = CodeRequest(phone=phone)
asked = read(Challenge, request_code.sync(client=stranger, body=body, idempotency_key="a1"))
say(asked.state)
answer = ConfirmRequest(challenge=asked.challenge, code=wrong_code)
say(read(ConfirmRefusal, confirm_code.sync(client=stranger, body=answer)).to_dict())
answer = ConfirmRequest(challenge=asked.challenge, code=code)
confirmed = read(Login, confirm_code.sync(client=stranger, body=answer))
say(confirmed.user.phone)

member = AuthenticatedClient(base_url=url, token=confirmed.token, prefix="Token")
body = CodeRequest(phone=other_phone, purpose=CodePurpose.LINK)
link = read(Challenge, request_code.sync(client=member, body=body))
answer = ConfirmRequest(challenge=link.challenge, code=code)
linked = read(Login, confirm_code.sync(client=member, body=answer))
say(None if linked.token is UNSET else linked.token)
first, second = list_phones.sync(client=member)
say([first.phone, second.phone])
say([each.phone for each in make_phone_primary.sync(second.id, client=member)])
unlink_phone.sync_detailed(first.id, client=member)
say(read(LastPhoneRefusal, unlink_phone.sync(second.id, client=member)).to_dict())
