# SPDX-License-Identifier: Apache-2.0
"""What the site answers."""
from django.contrib import admin
from django.urls import path
from notes import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("visit/", views.visit),
    path("notes/", views.notes),
]
