# SPDX-License-Identifier: Apache-2.0
"""A note changes its author's tally in the same transaction, so that they always agree."""
from django.contrib.auth.models import User
from django.db import models


class Note(models.Model):
    author = models.ForeignKey(User, on_delete=models.CASCADE)
    text = models.TextField()
    made = models.DateTimeField(auto_now_add=True)


class Tally(models.Model):
    author = models.OneToOneField(User, on_delete=models.CASCADE)
    notes = models.IntegerField(default=0)
