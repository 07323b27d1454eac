FROM python:3.11.14-slim-bookworm AS base

FROM base AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY constraints.txt ./
# Build tools apart from the environment that is shipped.
RUN python -m venv /tools && /tools/bin/pip install -c constraints.txt setuptools Cython
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE ./
COPY imbalanced imbalanced
RUN /tools/bin/pip wheel --no-build-isolation --no-deps --wheel-dir /dist . \
    && python -m venv /opt/imbalanced \
    && /opt/imbalanced/bin/pip install -c constraints.txt /dist/*.whl \
    && /opt/imbalanced/bin/pip uninstall -y pip setuptools
# The package also works uncompiled, only slower; an image that does so was built wrongly.
RUN cd / && /opt/imbalanced/bin/python -c "import imbalanced.book as b; assert b.__file__.endswith('.so'), b.__file__"

FROM base
LABEL org.opencontainers.image.title="imbalanced" \
      org.opencontainers.image.description="Proven order books, imbalance metrics and signals from live crypto markets" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/imbalanced /opt/imbalanced
COPY config/binance.yaml /etc/imbalanced/config.yaml
RUN install -d -o 10001 -g 10001 /var/lib/imbalanced
# All interfaces of the container, which are reachable only as far as its network is.
ENV PATH=/opt/imbalanced/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    STATE_DIRECTORY=/var/lib/imbalanced \
    IMBALANCED_HOST=0.0.0.0
WORKDIR /var/lib/imbalanced
VOLUME /var/lib/imbalanced
EXPOSE 8800 8801
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8800/readyz', timeout=4)"]
ENTRYPOINT ["imbalanced"]
CMD ["run", "-c", "/etc/imbalanced/config.yaml"]
