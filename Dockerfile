# The image of all of Treadle's services: the installed wheel and its locked requirements, and nothing else.

FROM python:3.11-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
# Without pip of its own: the builder's installs into it.
RUN python -m venv --without-pip /opt/treadle
# Before the source, so that a change there does not install them anew.
COPY requirements/runtime.txt requirements/
RUN pip --python /opt/treadle/bin/python install --require-hashes --no-deps --requirement requirements/runtime.txt
COPY LICENSE pyproject.toml package.json package-lock.json .npmrc ./
COPY scripts/vendor.py scripts/
COPY src src
RUN pip wheel --no-deps --wheel-dir wheels . \
    && pip --python /opt/treadle/bin/python install --no-deps wheels/*.whl

FROM python:3.11-slim-bookworm
ENV PATH=/opt/treadle/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY --from=build /opt/treadle /opt/treadle
WORKDIR /usr/src/app
# Writable for anybody, as /tmp is: which user runs it is decided outside (compose.yaml, user:).
RUN useradd --uid 1000 --no-create-home --home-dir /usr/src/app --shell /usr/sbin/nologin treadle \
    && mkdir data output \
    && chmod 1777 data output
USER 1000:1000
ENTRYPOINT ["treadle"]
CMD ["dev"]
