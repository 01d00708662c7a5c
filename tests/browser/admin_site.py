"""Django's own administration as an application of its own process: ``python -m tests.browser.admin_site FOLDER PORT``.

Nothing of it is ours but the settings: forms, pages, scripts and checks are those that Django brings.
"""

import sys
from pathlib import Path
from typing import Final

USER: Final = "editor"
PASSWORD: Final = "a-long-made-up-phrase"


def main(folder: Path, port: str) -> None:
    import django
    from django.conf import settings
    from django.contrib import admin
    from django.core.management import call_command
    from django.urls import path

    settings.configure(
        SECRET_KEY="of a test",
        DEBUG=False,
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF="the_urls",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "admin.sqlite")}},
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        STATIC_URL="/static/",
        SITE_ID=1,
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[
            "django.contrib.admin",
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django.contrib.messages",
            "django.contrib.sites",
            "django.contrib.flatpages",
            "django.contrib.staticfiles",
        ],
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
    )
    django.setup()
    urls = type(sys)("the_urls")
    urls.urlpatterns = [path("admin/", admin.site.urls)]  # type: ignore[attr-defined]
    sys.modules["the_urls"] = urls
    call_command("migrate", verbosity=0)
    from django.contrib.auth.models import Group, User

    User.objects.create_superuser(USER, "editor@example.com", PASSWORD)
    for number in range(30):
        Group.objects.create(name=f"Team {number:02}")
    call_command("runserver", f"127.0.0.1:{port}", use_reloader=False, insecure_serving=True, verbosity=0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
