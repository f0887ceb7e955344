# One code base, two images (docs/decisions/0018-one-image.md); `make image` builds them.
#
#   functions  a function of a cluster, the one that FUNCTION_TARGET and FUNCTION_SOURCE name, and
#              what a cluster's Jobs run: `taskflow migrate`, `taskflow topics`
#   system     all of TaskFlow in one container, on a PostgreSQL of its own: `taskflow up`

# The Python that the tests run on. For a newer one, take the digest of its index, as
# `docker buildx imagetools inspect` shows it.
ARG BASE=docker.io/library/python:3.11.17-slim-bookworm@sha256:0a310eeecf4e1f5a0743f9a6520c90c88d089c903ca5fd283f501e3a805f5f89


# The base, less what no running function has a use for. It is one layer of the images: what a layer
# above it removed would still be in them.
FROM ${BASE} AS stripped
RUN stdlib=$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))') \
    && rm -rf /usr/local/lib/python3*/site-packages/* "$stdlib"/config-* "$stdlib"/ensurepip \
        "$stdlib"/idlelib "$stdlib"/lib2to3 "$stdlib"/pydoc_data "$stdlib"/tkinter \
        "$stdlib"/turtledemo /usr/local/bin/2to3* /usr/local/bin/idle* /usr/local/bin/pip* \
        /usr/local/bin/pydoc* /usr/local/bin/python*-config /usr/local/bin/wheel \
        /usr/local/include /usr/local/share/man /usr/share/doc /usr/share/locale /usr/share/man \
        /usr/share/python-wheels /var/cache/apt /var/lib/apt/lists \
    # The base has no bytecode, and a function that starts could write none.
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash "$stdlib" \
    # PostgreSQL looks for the name of its user.
    && echo 'taskflow:x:65532:' >> /etc/group \
    && echo 'taskflow:x:65532:65532::/tmp:/usr/sbin/nologin' >> /etc/passwd

FROM scratch AS runtime
# hadolint ignore=DL3067
COPY --from=stripped / /
ENV LANG=C.UTF-8 PATH=/opt/taskflow/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1
WORKDIR /app


FROM ${BASE} AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python3 -m venv /opt/taskflow
COPY requirements-functions.txt .
# Wheels alone: there is no compiler, here or later.
RUN /opt/taskflow/bin/pip install --no-deps --only-binary :all: --require-hashes \
        --requirement requirements-functions.txt

# What changes with each commit: a small layer above the packages.
FROM packages AS code
COPY shared shared
COPY functions /code/app/functions
COPY docs /code/app/docs
RUN /opt/taskflow/bin/pip install --no-deps --no-build-isolation \
        --prefix /code/opt/taskflow ./shared \
    && /opt/taskflow/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        -s /code -p / /code

# What `taskflow up` needs besides: pip takes what is in /opt/taskflow for installed.
FROM packages AS system-packages
COPY requirements.txt .
RUN /opt/taskflow/bin/pip install --no-deps --only-binary :all: --require-hashes \
        --prefix /system/opt/taskflow --requirement requirements.txt \
    && /opt/taskflow/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        -s /system -p / /system

FROM packages AS function-packages
RUN /opt/taskflow/bin/pip uninstall --quiet --yes setuptools pip \
    && find /opt/taskflow -type d -name tests -prune -exec rm -r {} + \
    # Of Amazon's services, whose descriptions are 22 MB: those that are used, and log-ins.
    && find /opt/taskflow/lib/python3*/site-packages/botocore/data -mindepth 1 -maxdepth 1 \
        -type d ! -name sesv2 ! -name sns ! -name sts ! -name 'sso*' ! -name signin \
        -exec rm -r {} + \
    && /opt/taskflow/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        /opt/taskflow


FROM runtime AS functions
COPY --from=function-packages /opt/taskflow /opt/taskflow
COPY --from=code /code /
USER 65532:65532
EXPOSE 8080
CMD ["python", "-m", "taskflow.server.function"]


FROM functions AS system
USER 0
RUN mkdir -m 700 /var/lib/taskflow && chown 65532:65532 /var/lib/taskflow
COPY --from=system-packages /system /
ENV HOST=0.0.0.0 TASKFLOW_DATA_DIR=/var/lib/taskflow
USER 65532:65532
VOLUME /var/lib/taskflow
CMD ["taskflow", "up"]
