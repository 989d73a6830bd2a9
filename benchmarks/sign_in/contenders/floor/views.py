"""The two views of the floor."""

import secrets
from datetime import timedelta
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework import serializers
from rest_framework.authtoken.models import Token
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from benchmarks.sign_in import stand_in

from .models import Challenge

LIFETIME = timedelta(minutes=5)


class RequestSerializer(serializers.Serializer[Any]):
    """The shape of `request/`."""

    phone = serializers.RegexField(r"^\+\d{8,15}$")


class ConfirmSerializer(RequestSerializer):
    """The shape of `confirm/`."""

    challenge = serializers.UUIDField()
    code = serializers.RegexField(r"^\d{6}$")


class RequestView(APIView):
    """`POST request/`."""

    authentication_classes = ()

    def post(self, request: Request) -> Response:
        """Store a code and send it."""
        data = RequestSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        phone, code = data.validated_data["phone"], f"{secrets.randbelow(10**6):06d}"
        expires_at = timezone.now() + LIFETIME
        challenge = Challenge.objects.create(phone=phone, code=code, expires_at=expires_at)
        stand_in.send(phone, code)
        return Response({"challenge": challenge.pk}, status=201)


class ConfirmView(APIView):
    """`POST confirm/`."""

    authentication_classes = ()

    def post(self, request: Request) -> Response:
        """Use the code up, and log in."""
        data = ConfirmSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        given, now = data.validated_data, timezone.now()
        found = Challenge.objects.filter(
            pk=given["challenge"],
            phone=given["phone"],
            code=given["code"],
            used_at=None,
            expires_at__gt=now,
        )
        if not found.update(used_at=now):
            return Response({"code": ["This code is wrong."]}, status=400)
        user, _created = User.objects.get_or_create(username=given["phone"])
        token, _created = Token.objects.get_or_create(user=user)
        return Response({"token": token.key})
