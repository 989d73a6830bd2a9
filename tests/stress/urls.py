"""The site under stress: the suite's, and a page for who is logged in."""

from django.urls import path
from rest_framework.authentication import TokenAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tests.urls import urlpatterns as _of_the_suite


class WhoAmI(APIView):
    """Says whose token it is, as any page of a site would ask."""

    authentication_classes = (TokenAuthentication,)
    permission_classes = (IsAuthenticated,)

    def get(self, request: Request) -> Response:
        return Response({"id": request.user.pk})


urlpatterns = [*_of_the_suite, path("whoami/", WhoAmI.as_view())]
