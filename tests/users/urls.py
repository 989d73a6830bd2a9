"""For each issuer a page that is shown to whoever it let in, and its library's own views."""

from django.contrib.auth.views import LogoutView
from django.urls import path
from knox.auth import TokenAuthentication as KnoxAuthentication
from knox.views import LogoutView as KnoxLogoutView
from rest_framework.authentication import SessionAuthentication, TokenAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.views import TokenBlacklistView, TokenRefreshView

from tests.urls import urlpatterns as of_the_suite
from tests.users.tickets import TicketAuthentication


class WhoView(APIView):
    permission_classes = (IsAuthenticated,)

    def get(self, request):
        return Response({"id": request.user.pk})


AUTHENTICATION = {
    "session": SessionAuthentication,
    "token": TokenAuthentication,
    "simplejwt": JWTAuthentication,
    "knox": KnoxAuthentication,
    "ticket": TicketAuthentication,
}
urlpatterns = [
    *of_the_suite,
    path("session/logout/", LogoutView.as_view(next_page="/")),
    path("simplejwt/refresh/", TokenRefreshView.as_view()),
    path("simplejwt/blacklist/", TokenBlacklistView.as_view()),
    path("knox/logout/", KnoxLogoutView.as_view()),
    *(
        path(f"{name}/who/", WhoView.as_view(authentication_classes=[each]))
        for name, each in AUTHENTICATION.items()
    ),
]
