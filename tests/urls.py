from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/phone/", include("django_phone_otp.urls")),
    path("lifepos/", include("django_phone_otp.lifepos.urls")),
]
