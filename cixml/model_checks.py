"""What must be true before a model is enabled: its tokenizer is there and the right one, its server serves it."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote

from resources.embedding.registry import Model, tokenizer_digest
from resources.embedding.servers import base_url_of, build_client
from resources.embedding.tokenizer import count_tokens, load_tokenizer
from resources.errors import ConfigurationError, EmbeddingRejectedError, EmbeddingUnavailableError
from resources.settings import Settings

PROBE = "Vectors of one model are compared with those of the same model, and never with another's: café, naïve, 東京."
"""Words, accents and signs of two scripts: tokenizers differ in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCheck:
    """What a server said. `tokens` is its count of the probe, `expected_tokens` that of the model's tokenizer file."""

    base_url: str
    tokens: int
    expected_tokens: int

    @property
    def counts_agree(self) -> bool:
        return self.tokens == self.expected_tokens


def check_tokenizer(model: Model) -> str:
    """Return the sha256 of a model's tokenizer file. Raises ConfigurationError that says what to fetch, and whereto."""
    path = model.tokenizer_path
    try:
        found = tokenizer_digest(path)
    except OSError as error:
        fetch = "the model's tokenizer.json"
        if model.tokenizer_source:
            fetch = f"it: mkdir -p {quote(str(path.parent))} && curl -fL {model.tokenizer_source} -o {quote(str(path))}"
        raise ConfigurationError(
            f"the tokenizer of {model.id} is not at {path} ({error.strerror}). Fetch {fetch}"
        ) from error
    if model.tokenizer_sha256 and found != model.tokenizer_sha256:
        raise ConfigurationError(
            f"{path} has sha256 {found}, not {model.tokenizer_sha256}: {model.id} was set up with another file. Fetch "
            "that one again; with another (take the hash out of the models file) the model's corpora are embedded again"
        )
    try:
        load_tokenizer(path)
    except Exception as error:  # tokenizers raises nothing narrower
        raise ConfigurationError(f"{path} is no tokenizer.json: {error}") from error
    return found


async def check_server(settings: Settings, model: Model) -> ServerCheck:
    """Have the model's server embed a probe. Raises ConfigurationError with the remedy."""
    base_url, file = base_url_of(settings, model), settings.embedding.models_file
    client, _ = build_client(settings, model, None)
    try:
        served = await client.served_models()
        if model.id not in served:
            raise ConfigurationError(
                f"the server at {base_url} serves {', '.join(sorted(served)) or 'no model'}, not {model.id!r}: start "
                f"it with that name (vLLM: --served-model-name {model.id}), or give its server as base_url in {file}"
            )
        answer = await client.embed([PROBE], operation="read")
    except (EmbeddingUnavailableError, EmbeddingRejectedError) as error:
        raise ConfigurationError(f"the server at {base_url} can't embed by {model.id}: {error.message}") from error
    finally:
        await client.aclose()
    (expected,) = count_tokens(load_tokenizer(model.tokenizer_path), [model.as_sent(PROBE, "read")])
    return ServerCheck(base_url=base_url, tokens=answer.tokens, expected_tokens=expected)
