"""TLS seen from outside by a judge that is not ours; needs `scripts/setup --environment tls`."""

import asyncio
from copy import deepcopy
from typing import Any

import pytest

from bench_tls import NEW, OLD, SSLYZE, judge, measure, scan
from custom_components.magicpi_nvr.gateway import ListenerLimits
from tests.harness.gateway import run_gateway

pytestmark = pytest.mark.skipif(
    not SSLYZE.exists(), reason="needs scripts/setup --environment tls"
)


async def test_nothing_weak() -> None:
    """Nothing below TLS 1.2, no weak cipher, no known hole; everything was checked."""
    findings = await measure()
    assert findings.bad == []
    assert not any(findings.accepted[version] for version in OLD)
    assert all(findings.accepted[version] for version in NEW)
    assert findings.facts["curves"] == "secp256r1"
    # A camera that wakes saves a round trip and a signature
    assert findings.facts["tickets"] == "FULLY_SUPPORTED"


async def test_judge_sees_what_is_weak() -> None:
    """What would be weak is found: an old version, a weak cipher, a check that did not run."""

    def report(**changes: Any) -> dict[str, Any]:
        done = {"status": "COMPLETED", "result": {}}
        results = {name: deepcopy(done) for name in (
            *(f"{version}_cipher_suites" for version in (*OLD, *NEW)),
            "heartbleed", "openssl_ccs_injection", "robot", "tls_compression", "session_renegotiation",
            "tls_1_3_early_data", "tls_fallback_scsv", "tls_extended_master_secret", "elliptic_curves",
            "session_resumption", "certificate_info",
        )}  # fmt: skip
        good = [{"cipher_suite": {"name": "TLS_AES_128_GCM_SHA256"}}]
        results["tls_1_3_cipher_suites"]["result"] = {"accepted_cipher_suites": good}
        results |= changes
        return {"server_scan_results": [{"scan_result": results}]}

    def suites(name: str) -> dict[str, Any]:
        return {
            "status": "COMPLETED",
            "result": {"accepted_cipher_suites": [{"cipher_suite": {"name": name}}]},
        }

    assert judge(report()).bad == []
    good = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
    for changes in (
        {"tls_1_0_cipher_suites": suites(good)},
        {"tls_1_2_cipher_suites": suites("TLS_RSA_WITH_AES_128_GCM_SHA256")},
        {"tls_1_2_cipher_suites": suites("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256")},
        {"heartbleed": {"status": "ERROR", "error_reason": "x"}},
        {"tls_compression": {"status": "COMPLETED", "result": {"supports_compression": True}}},
    ):  # fmt: skip
        assert len(judge(report(**changes)).bad) == 1, changes


async def test_scan_from_one_address_disturbs_nobody(
    tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """With the limits of places of every day a camera comes meanwhile."""
    # Scanner and camera have one address here, and the rate is one for both.
    limits = ListenerLimits(burst=10_000)
    async with run_gateway(tmp_path, limits=limits) as gateway:
        _, auth = await gateway.register()
        scanning = asyncio.create_task(scan(gateway.server.port))
        await asyncio.sleep(2)
        async with gateway.connect(auth) as connection:
            await connection.greet()
            await connection.send_frame(1)
            await connection.expect_ack(1)
        scanning.cancel()
        await asyncio.gather(scanning, return_exceptions=True)
