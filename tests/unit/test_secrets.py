"""A password stays in the environment: no config may hold one, and no message shows one."""

import pytest
from study_config import study

from spikesink.study.errors import ConfigError, InputError, without_secrets

SECRET = [
    "http://anna:{}@server:5000",
    "https://{}@server/mlflow",
    "https://anna:a/{}@b@server/mlflow",
    "postgresql+psycopg2://anna:{}@127.0.0.1/runs",
    "postgresql://server/runs?user=anna&password={}",
    "https://server/text.jsonl?X-Amz-Signature={}&part=1",
    "https://server/text.jsonl?part=1&access_token={}",
]
HARMLESS = [
    "http://127.0.0.1:5000",
    "postgresql://anna@server/runs",
    "sqlite:////data/anna:work@home/mlflow.db",
    "hf://datasets/allenai/c4@1588ec4/en/part-0.json.gz",
    "https://server/text?tokenizer=gpt2&part=1",
    "allenai/c4",
]


@pytest.mark.parametrize("address", SECRET)
def test_the_secret_of_an_address_is_masked(address):
    text = without_secrets(f"cannot reach {address.format('hunter2')}: refused")
    assert "hunter2" not in text and "***" in text and text.startswith("cannot reach ") and text.endswith("refused")
    assert without_secrets(text) == text


@pytest.mark.parametrize("address", HARMLESS)
def test_an_address_without_a_secret_is_shown_as_it_is(address):
    assert without_secrets(address) == address
    assert study({"pretrained": {"m": {"source": address, "revision": "a" * 40, "bos": "none"}}})


@pytest.mark.parametrize("address", SECRET)
@pytest.mark.parametrize(
    "place",
    [
        lambda address: {"tracking": {"uri": address}},
        lambda address: {"trackin": {"uri": address}},
        lambda address: {"corpus": {"kind": "files", "files": [address]}},
        lambda address: {"variants": {"norm": {"sandwich": {"label": address}}}},
        lambda address: {"study": address},
        lambda address: {"resources": {"train": {"sbatch": f"--export=URI={address}"}}},
        lambda address: {address: 1},
    ],
)
def test_no_config_holds_a_secret_and_no_message_shows_it(place, address):
    """Where the key is not known either, the message of the unknown key would show the value."""
    with pytest.raises(ConfigError) as refused:
        study(place(address.format("hunter2")))
    assert "hunter2" not in str(refused.value) and "\n" not in str(refused.value)
    assert "from the environment" in str(refused.value)


@pytest.mark.parametrize("kind", [ConfigError, InputError])
def test_errors_mask_secrets_themselves(kind):
    assert str(kind("http://anna:hunter2@server: no answer")) == "http://***@server: no answer"
