"""The app and the secrets of `deskbell dev` and `demo`. They protect nothing: their users are on loopback."""

DEV_APP = "1400000001"
DEV_TOKEN = "dev-token"  # noqa: S105 - see above
DEV_KEY = "dev-key"
CRM_TOKEN = "crm-token"  # noqa: S105 - see above
