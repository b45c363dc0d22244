# docker build --target signer  -t sealmount-signer .
# docker build --target catalog -t sealmount-catalog .
#
# Each image holds its own service, what both servers stand on and the stubs: no cloud SDK and no
# sealing code in the Catalog's. The database, keys, certificates and policy are mounted and named
# by environment variables, SEALMOUNT_SIGNER_* and SEALMOUNT_CATALOG_*.
ARG BASE=python:3.11-slim

FROM ${BASE} AS tools
RUN pip install --no-cache-dir uv==0.13.9
ENV UV_PROJECT_ENVIRONMENT=/venv UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never
WORKDIR /build
COPY pyproject.toml uv.lock README.md ./
COPY clients/python/pyproject.toml clients/python/README.md clients/python/

FROM tools AS signer-venv
RUN uv sync --locked --no-default-groups --no-install-workspace --extra signer

FROM tools AS catalog-venv
RUN uv sync --locked --no-default-groups --no-install-workspace --extra catalog

FROM ${BASE} AS runtime
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin sealmount
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 GRPC_VERBOSITY=NONE
WORKDIR /srv
COPY clients/python/sealmount ./sealmount
COPY serving ./serving
USER 10001

FROM runtime AS signer
COPY --from=signer-venv /venv /venv
COPY signer ./signer
ENV SEALMOUNT_SIGNER_LISTEN=0.0.0.0:7443
EXPOSE 7443
ENTRYPOINT ["python", "-m", "signer"]
CMD ["serve"]

FROM runtime AS catalog
COPY --from=catalog-venv /venv /venv
COPY catalog ./catalog
ENV SEALMOUNT_CATALOG_LISTEN=0.0.0.0:7444
EXPOSE 7444
ENTRYPOINT ["python", "-m", "catalog"]
CMD ["serve"]
