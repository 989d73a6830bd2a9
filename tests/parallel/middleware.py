"""What the servers add to their answers."""

import os
import threading
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


def name_process(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Say which process and thread answered, so that a test can tell that several did."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["X-Process"] = str(os.getpid())
        response["X-Thread"] = f"{os.getpid()}-{threading.get_ident()}"
        return response

    return answer
