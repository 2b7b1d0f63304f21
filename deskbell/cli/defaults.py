"""The app and the tokens of `deskbell dev` and `demo`. They protect nothing: their users are on loopback."""

DEV_APP = "1400000001"
DEV_TOKEN = "dev-token"  # noqa: S105 - see above
CRM_TOKEN = "crm-token"  # noqa: S105 - see above
