import pytest

from django_phone_otp.providers import local

pytestmark = pytest.mark.django_db


def test_login(api):
    r = api.post("/api/phone/request/", {"phone": "8 924 450-10-03"}, format="json")
    print(r.status_code, r.json())
    assert r.status_code == 201
    c = r.json()["challenge"]
    r = api.post("/api/phone/confirm/", {"challenge": c, "code": "000000"}, format="json")
    print(r.status_code, r.json())
    r = api.get(f"/api/phone/challenges/{c}/")
    print(r.status_code, r.json())
    r = api.post("/api/phone/resend/", {"challenge": c}, format="json")
    print(r.status_code, r.json(), r.headers)
    r = api.post(
        "/api/phone/confirm/", {"challenge": c, "code": local.outbox[-1].code}, format="json"
    )
    print(r.status_code, r.json())
    assert r.status_code == 200
