"""A site that changes what the app's pages show."""

from django import forms
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.urls import path

from django_phone_otp.web import PhoneLoginForm
from django_phone_otp.web.views import PhoneLoginView
from tests.web.urls import urlpatterns as urlpatterns_of_suite

HOME = """<form action="{% url 'phone_otp_web:login' %}" method="post">{% csrf_token %}{{ form }}
<input type="hidden" name="next" value="/basket/"><button>Go</button></form>"""


class MobileForm(PhoneLoginForm):
    terms = forms.BooleanField(label="I accept the terms")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["phone"].label = "Mobile"


class OwnLoginView(PhoneLoginView):
    form_class = MobileForm
    template_name = "own/login.html"
    redirect_authenticated_user = True


def home(request: HttpRequest) -> HttpResponse:
    template = engines["django"].from_string(HOME)
    return HttpResponse(template.render({"form": PhoneLoginForm()}, request))


urlpatterns = [
    path("", home),
    path("account/login/", OwnLoginView.as_view()),
    *urlpatterns_of_suite[1:],
]
