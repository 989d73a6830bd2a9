"""The login that django-phone-verify leaves to the site."""

from django.contrib.auth.models import User
from phone_verify.serializers import SMSVerificationSerializer
from rest_framework.authtoken.models import Token
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class LoginView(APIView):
    """`POST login`: as `phone/verify`, and then as the floor does it."""

    authentication_classes = ()

    def post(self, request: Request) -> Response:
        """Have the code judged, and log in."""
        serializer = SMSVerificationSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        phone = serializer.validated_data["phone_number"].as_e164
        user, _created = User.objects.get_or_create(username=phone)
        token, _created = Token.objects.get_or_create(user=user)
        return Response({"token": token.key})
