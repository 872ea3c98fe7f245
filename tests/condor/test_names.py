"""Real HTCondor and Slurm find the files of folders with any name, and expand nothing in them."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from oddjet.condor.jobqueue import _jobqueue
from oddjet.condor.site import Cluster, Site
from oddjet.condor.submit import write_submission

pytestmark = pytest.mark.long

Run = Callable[..., "subprocess.CompletedProcess[str]"]

NAMES = [
    "it's, a folder",
    'a "b" (c) [d]',
    "cost: 5% $(HOME) $ENV(HOME) #1",
    "$(Process)$F(x)",
    "back\\slash",
    "ünïcøde 測試",
    "-o; touch x & `id` $(id)|<>",
    "{a,b}*?!~=",
    "a  b",
]
ECHO = 'import json, sys; json.dump([open(sys.argv[1]).read(), sys.argv], open(sys.argv[2] + "/done", "w"))'

SUBMIT = """
import json, sys
from pathlib import Path
from oddjet.condor.submit import submit_jobs
top = Path(sys.argv[0]).parent
for name in json.loads((top / "names.json").read_text()):
    print(submit_jobs(top / name / "jobs.sub"))
"""
PROXY = """
import datetime, os, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
me = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "me")])
now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
made = x509.CertificateBuilder().subject_name(me).issuer_name(me).public_key(key.public_key())
made = made.serial_number(1).not_valid_before(now - day).not_valid_after(now + day)
pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
text = made.sign(key, hashes.SHA256()).public_bytes(pem)
text += key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, plain)
os.write(os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY, 0o600), text)
"""
ROOT = Path(__file__).resolve().parents[2]


def wait_for(paths: list[Path], told: Callable[[], str]) -> None:
    until = time.monotonic() + 120
    while not all(path.exists() and path.stat().st_size for path in paths):
        if time.monotonic() > until:
            lost = [str(path) for path in paths if not path.exists()]
            pytest.fail(f"not written: {lost}\n{told()}")
        time.sleep(0.5)


def opened(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o777 if path.is_dir() or os.access(path, os.X_OK) else 0o666)


@pytest.mark.condor
@pytest.mark.parametrize("shared_files", [True, False])
def test_htcondor(condor: Run, python: str, shared: Path, shared_files: bool) -> None:
    top = shared / f"names-{shared_files}"
    (top / "jobs").mkdir(parents=True)
    (top / "jobs" / "echo_job.py").write_text(ECHO)
    results = []
    for name in NAMES:
        folder = top / name
        for index in range(2):
            (folder / "jobs" / str(index)).mkdir(parents=True)
            (folder / "jobs" / str(index) / "job.json").write_text(f"{name} {index}")
            results.append(folder / "jobs" / str(index) / "parts" / "done")
        (folder / "oddjet.tar.gz").write_bytes(b"")
        site = Site(
            shared_files=shared_files,
            memory="64 MB",
            disk="10 MB",
            prologue=[f"export PYTHONPATH={top}/jobs", "tar() { :; }"],
        )
        write_submission(folder, site, module="echo_job", n_jobs=2)
    opened(top)
    # Through files: the shell of the pool's machine cannot be given any sign.
    (top / "submit.py").write_text(SUBMIT)
    (top / "names.json").write_text(json.dumps(NAMES))
    said = condor("env", f"PYTHONPATH={ROOT}/src", python, str(top / "submit.py"))
    assert said.returncode == 0, said.stdout + said.stderr
    wait_for(results, lambda: condor("condor_q", "-af", "Iwd", "HoldReason").stdout)
    for path in results:
        content, arguments = json.loads(path.read_text())
        job = path.parents[1]
        assert content == f"{job.parents[1].name} {job.name}"
        if shared_files:
            assert arguments[1:] == [str(job / "job.json"), str(job / "parts")]
    logs = [sorted(p.name for p in (top / name).iterdir()) for name in NAMES]
    assert all("jobs.log" in log for log in logs)
    made = [path.name for path in top.iterdir() if path.is_dir()]
    assert sorted(made) == sorted([*NAMES, "jobs"])  # nothing beside them


@pytest.mark.condor
def test_htcondor_reads_settings_as_they_are(condor: Run, python: str, shared: Path) -> None:
    """What the pool would store of a job is what the profile says."""
    folder = shared / "settings"
    (folder / "jobs" / "0").mkdir(parents=True)
    (folder / "jobs" / "0" / "job.json").write_text("{}")
    opened(folder)
    proxy = folder / "a $(HOME), b"
    (folder / "proxy.py").write_text(PROXY)
    said = condor(python, str(folder / "proxy.py"), str(proxy))
    assert said.returncode == 0, said.stderr
    odd = 'docker://it\'s $(HOME) $ENV(HOME), #1; "5%"'
    site = Site(image=odd, account="group_cms.me", proxy=proxy)
    path = write_submission(folder, site, module="m", n_jobs=1)
    said = condor("condor_submit", "-dry-run", str(folder / "ad"), str(path))
    assert said.returncode == 0, said.stdout + said.stderr
    ad = (line.partition("=") for line in (folder / "ad").read_text().splitlines())
    stored = {name: json.loads(value) for name, _, value in ad if value.startswith('"')}
    assert stored["Iwd"] == f"{folder}/jobs/0"
    assert stored["ContainerImage"] == odd
    assert stored["AcctGroup"] == "group_cms.me"
    assert stored["x509userproxy"] == str(proxy)


@pytest.mark.slurm
def test_slurm(slurm: Run, shared: Path) -> None:
    """Logs of jobs are where they belong, and comments are what the profile says."""
    top = shared / "slurm-names"
    top.mkdir()
    names = [name for name in NAMES if "\\" not in name]
    for name in names:
        comment = f'{name} \\ "x"'
        cluster = Cluster(
            executor="slurm",
            memory="64 MB",
            wall_time=60,
            queue="debug",
            log_folder=top / name,
            submit_lines={"comment": comment},
            prologue=['scontrol show job "$SLURM_JOB_ID" >&2', "echo out", "exit 0"],
        )
        (top / name).mkdir()
        with _jobqueue(cluster, top / name) as jobs:
            script = top / name / "job.sh"
            script.write_text(jobs.job_script())
            said = slurm("sbatch", str(script))
        assert said.returncode == 0, said.stdout + said.stderr
    wait_for([top / name for name in names], lambda: "")
    until = time.monotonic() + 120
    while time.monotonic() < until and slurm("squeue", "-h").stdout.strip():
        time.sleep(0.5)
    for name in names:
        (out,) = (top / name).glob("dask-worker-*.out")
        (error,) = (top / name).glob("dask-worker-*.err")
        assert out.read_text() == "out\n"
        assert f'Comment={name} \\ "x"' in error.read_text()
    assert sorted(path.name for path in top.iterdir()) == sorted(names)
