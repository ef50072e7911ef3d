# SPDX-License-Identifier: Apache-2.0
"""What SQLite refused is told to whoever asked: 503 and SQLite's words. Nothing is tried again."""
import sys

from django.core.signals import got_request_exception
from django.db import OperationalError
from django.http import HttpResponse

said = []


def keep(**_):
    said.append(sys.exc_info()[1])


got_request_exception.connect(keep)


def locked(get_response):
    def answer(request):
        said.clear()
        response = get_response(request)
        if response.status_code == 500 and said and isinstance(said[-1], OperationalError):
            return HttpResponse(str(said[-1]), status=503)
        return response
    return answer
