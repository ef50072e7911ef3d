# SPDX-License-Identifier: Apache-2.0
"""A session that counts, and notes that are added and read."""
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpResponse

from notes.models import Note, Tally


def visit(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(f"{request.session['visits']}")


@login_required
def notes(request):
    if request.method == "POST":
        with transaction.atomic():
            tally, _ = Tally.objects.get_or_create(author=request.user)
            Note.objects.create(author=request.user, text=request.POST["text"])
            tally.notes = Note.objects.filter(author=request.user).count()
            tally.save()
    return HttpResponse(f"{Note.objects.filter(author=request.user).count()}")
