# SPDX-License-Identifier: Apache-2.0
"""Authors in the admin's hands; notes are their authors' own."""
from django.contrib import admin

from notes.models import Note, Tally


@admin.register(Note)
class NoteAdmin(admin.ModelAdmin):
    list_display = ("author", "made")

    def save_model(self, request, obj, form, change):
        super().save_model(request, obj, form, change)
        count(obj.author)

    def delete_model(self, request, obj):
        author = obj.author
        super().delete_model(request, obj)
        count(author)


def count(author):
    """In the transaction of the admin's own view."""
    Tally.objects.update_or_create(
        author=author, defaults={"notes": Note.objects.filter(author=author).count()})
