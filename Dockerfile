# One image for all roles: the api, the workers, rq-dashboard and the example CRM. It holds no secret and no setting.

FROM python:3.13-slim AS build
RUN python -m venv /opt/deskbell
ENV PATH=/opt/deskbell/bin:$PATH
WORKDIR /src
# The dependencies come first: this layer stays until the lock file changes.
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY api api
COPY workers workers
COPY shared shared
COPY cli cli
COPY examples examples
# The lock file holds the wheel's builder too: nothing is fetched from here on.
RUN pip wheel --no-index --no-deps --no-build-isolation --wheel-dir dist . \
    && pip install --no-index --no-deps dist/*.whl

FROM python:3.13-slim
# A volume mounted on /data, or /var/lib/deskbell, for the first time takes its owner from here.
RUN useradd --system --uid 10001 --user-group --no-create-home deskbell \
    && install --directory --owner deskbell --group deskbell /data /app \
    && install --directory --owner deskbell --group deskbell --mode 700 /var/lib/deskbell
COPY --from=build /opt/deskbell /opt/deskbell
ENV PATH=/opt/deskbell/bin:$PATH
# No module is imported from the folder a command happens to run in.
ENV PYTHONSAFEPATH=1
ENV PYTHONUNBUFFERED=1
USER deskbell
WORKDIR /app
EXPOSE 8000
CMD ["deskbell", "api", "--host", "0.0.0.0", "--port", "8000"]
