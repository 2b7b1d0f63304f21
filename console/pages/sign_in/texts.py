"""The texts of the page."""

TEXTS: dict[str, tuple[str, str]] = {
    "sign_in.title": ("Sign in", "登录"),
    "sign_in.name": ("Name", "用户名"),
    "sign_in.password": ("Password", "密码"),
    "sign_in.wrong": ("The name or the password is wrong.", "用户名或密码错误。"),
    "sign_in.wait": (
        "Too many sign-ins failed: try again in {seconds} s.",
        "登录失败次数过多，请在 {seconds} 秒后重试。",
    ),
}
