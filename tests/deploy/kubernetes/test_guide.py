"""The guide to Kubernetes: its files are what they say, and its commands name what there is."""

import re
import shutil
import subprocess
from pathlib import Path

import yaml

from shared.settings.redis_url import RedisUrl
from tests.deploy.expressions import promtool
from tests.deploy.kubernetes.kinds import RELEASES, problems
from tests.deploy.kubernetes.kustomized import FOLDER, containers, kubectl, of_kind, rendered, workloads

GUIDE = (FOLDER.parents[1] / "docs" / "how-to" / "kubernetes.md").read_text()
FILES = dict(re.findall(r"```yaml\n# ([\w/.]+)\n(.*?)```", GUIDE, re.DOTALL))


def test_the_guides_files_are_all_there_are() -> None:
    """A block without a name would be tried by nobody."""
    assert GUIDE.count("```yaml") == len(FILES) == 3


def test_the_overlay_of_the_guide_names_another_image_and_another_prometheus(tmp_path: Path) -> None:
    """Rendered beside a checkout, as the guide has it; skipped without kubectl."""
    shutil.copytree(FOLDER, tmp_path / "deskbell" / "deploy" / "kubernetes")
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)

    built = subprocess.run([kubectl(), "kustomize", tmp_path / "acme"], capture_output=True, check=True)

    resources = list(yaml.safe_load_all(built.stdout))
    assert "registry.example.com/acme:1" in str(resources)
    assert "'image': 'deskbell'" not in str(resources)
    assert len(resources) == len(rendered(FOLDER / "sentinel")) + 1


def test_the_ingress_leads_to_the_api() -> None:
    """By the name of its service and of the port."""
    ingress = yaml.safe_load(FILES["acme/ingress.yaml"])
    (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
    service = of_kind("Service")[path["backend"]["service"]["name"]]

    assert path["backend"]["service"]["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}
    assert [problem for release in RELEASES for problem in problems(ingress, release)] == []


def test_the_scrape_job_is_a_configuration_of_prometheus_and_named_as_the_queries_have_it(tmp_path: Path) -> None:
    """And as the alerts have it. Debian's promtool is built without what finds pods: that part is left out."""
    configuration = yaml.safe_load(FILES["prometheus.yml"])
    (job,) = configuration["scrape_configs"]
    assert job.pop("kubernetes_sd_configs") == [{"role": "pod", "namespaces": {"names": ["deskbell"]}}]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(configuration))

    checked = promtool("check", "config", str(tmp_path / "prometheus.yml"))

    assert checked.returncode == 0, checked.stderr
    for scaled in of_kind("ScaledObject").values():
        for trigger in scaled["spec"]["triggers"]:
            query = trigger["metadata"]["query"]
            assert query.count(f'job="{job["job_name"]}"') == query.count("deskbell_")


def test_the_url_of_redis_names_the_pods_of_the_overlay() -> None:
    """Every sentinel, and the service that they watch."""
    url = RedisUrl.parse(re.findall(r"`(redis\+sentinel://\S+)`", GUIDE)[0])
    (watched,) = re.findall(r"sentinel monitor (\w+)", str(containers()["deskbell-redis/sentinel"]["command"]))

    assert url.service == watched
    assert [host for host, _ in url.sentinels] == [f"deskbell-redis-{pod}.deskbell-redis" for pod in range(3)]


def test_the_commands_name_what_there_is() -> None:
    """Workloads, services and labels behind `kubectl`."""
    kinds = {"statefulset": "StatefulSet", "deployment": "Deployment", "deploy": "Deployment", "service": "Service"}
    named = re.findall(r"\b(statefulset|deployment|deploy|service)/(deskbell-[\w-]+)", GUIDE)
    labels = [each["spec"]["template"]["metadata"]["labels"].items() for each in workloads().values()]

    assert len(named) > 5
    for kind, name in named:
        assert name in of_kind(kinds[kind])
    for key, value in re.findall(r"-l ([\w./]+)=(\w+)", GUIDE):
        assert any((key, value) in each for each in labels), (key, value)
