# For clusters without Python: every package of the lock, and the code of this checkout.
#   docker build -t glassguard .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" glassguard --cores 2
#   apptainer build glassguard.sif docker-daemon://glassguard:latest
FROM python:3.11-slim-bookworm

# Snakemake's jobs run in bash. Git and compilers are not needed, because every dependency is a wheel.
WORKDIR /opt/glassguard
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    MLFLOW_DISABLE_TELEMETRY=true

# cpu, or cu128 and the like: a build of PyTorch from its own index, installed first and alone.
ARG TORCH=cpu
COPY requirements/constraints.txt requirements/constraints.txt
RUN pip install --constraint requirements/constraints.txt \
    --extra-index-url "https://download.pytorch.org/whl/${TORCH}" torch

COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --constraint requirements/constraints.txt --editable '.[slurm]'

COPY Snakefile ./
COPY workflow workflow
COPY conf conf
COPY profiles profiles
COPY environment.yml ./

# Results and Snakemake's own records go to /work: mount a folder there. Apptainer uses the folder in
# which it is started. A user whom the image does not know has no home.
WORKDIR /work
ENV HOME=/tmp
ENTRYPOINT ["snakemake", "--snakefile", "/opt/glassguard/Snakefile"]
CMD ["--cores", "all"]
