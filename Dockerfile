# syntax=docker/dockerfile:1
# The HTTP service on the CPU (docs/service.md, "In a container").
#
#     docker build -t stylecine .
#
# PYTHON: a Debian image with Python 3.11 or later. TORCH_INDEX: where PyTorch's CPU build is. pip's other settings can
# be given in a build secret named pip.conf.

ARG PYTHON=python:3.13-slim

FROM ${PYTHON} AS dependencies
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_CONFIG_FILE=/run/secrets/pip.conf
WORKDIR /build
RUN python -m venv --without-pip /opt/stylecine
COPY pyproject.toml ./
RUN python -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
      print(*project["dependencies"], *project["optional-dependencies"]["studio"], sep="\n")' > requirements.txt
# From that index alone, as PyPI's PyTorch for x86 brings gigabytes of CUDA libraries. The files
# removed are for compiling extensions and for PyTorch's own tests.
RUN --mount=type=secret,id=pip.conf \
    pip --python /opt/stylecine install --index-url "$TORCH_INDEX" "$(grep '^torch' requirements.txt)" \
    && torch=$(echo /opt/stylecine/lib/python*/site-packages/torch) \
    && rm -rf "$torch/include" "$torch/test" "$torch"/bin/test_*
RUN --mount=type=secret,id=pip.conf pip --python /opt/stylecine install -r requirements.txt

FROM dependencies AS package
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
COPY . .
RUN --mount=type=secret,id=pip.conf \
    STYLECINE_CPU=1 pip --python /opt/stylecine install --no-deps --root /package .

FROM ${PYTHON}
RUN groupadd --gid 10001 stylecine \
    && useradd --uid 10001 --gid stylecine --no-create-home --home-dir /data stylecine \
    && install -d -o stylecine -g stylecine /data
# two layers, as the large one seldom changes
COPY --from=dependencies /opt/stylecine /opt/stylecine
COPY --from=package /package /
ENV PATH=/opt/stylecine/bin:$PATH
USER 10001:10001
VOLUME /data
EXPOSE 8350
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from http.client import HTTPConnection as C; c = C('127.0.0.1', 8350, timeout=8); \
c.request('GET', '/ready'); raise SystemExit(c.getresponse().status != 200)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["stylecine", "serve", "--host", "0.0.0.0", "--data", "/data"]
