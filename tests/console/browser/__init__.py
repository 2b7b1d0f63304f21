"""The operator's console in Debian's Chromium: what no HTML alone can show."""
