"""How the tokens of known services begin, and what follows: taken from each service's public documentation.

A row is ``(service, beginning, rest)``.  The beginnings go through the gate; a row without a fixed beginning has its own.
"""

from __future__ import annotations

from typing import Final

from calos_telemetry.sdk.obfuscate.placeholders import TOKEN
from calos_telemetry.sdk.obfuscate.rules.rule import Rule

_ANY: Final = r"[\w+/=.~-]"

_SERVICES: Final = (
    ("1Password", "ops_eyJ", r"{20,}"),
    ("Adafruit", "aio_", r"{20,}"),
    ("age", "AGE-SECRET-KEY-1", r"{20,}"),
    ("Airtable", r"pat[A-Za-z0-9]{14}\.", r"{20,}"),
    ("Alibaba", "LTAI", r"{12,}"),
    ("Anthropic and OpenAI", "sk-", r"{16,}"),
    ("Artifactory", "AKC|AP[0-9A-F]|cmVmdGtuO", r"{9,}"),
    ("Atlassian", "ATATT3|ATCTT3|ATBB|BBDC-", r"{12,}"),
    ("AWS", "A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA|AGPA|AIDA|AIPA|ANPA|ANVA|AROA|APKA", r"{12,}"),
    ("Brevo", "xkeysib-|xsmtpsib-", r"{16,}"),
    ("Buildkite", "bkua_|bkagent_", r"{16,}"),
    ("CircleCI", "CCIPAT_|CCIPRJ_", r"{12,}"),
    ("Clojars", "CLOJARS_", r"{16,}"),
    ("Contentful", "CFPAT-", r"{16,}"),
    ("crates.io", "cio[a-zA-Z0-9]{12}", r"{12,}"),
    ("Databricks", "dapi", r"{24,}"),
    ("DigitalOcean", "do[opr]_v1_", r"{16,}"),
    ("Docker", "dckr_pat_|dckr_oat_", r"{12,}"),
    ("Doppler", r"dp\.(?:pt|st|ct|sa|scim|audit)\.", r"{12,}"),
    ("Dynatrace", r"dt0[a-z]\d\d\.", r"{16,}"),
    ("EasyPost", "EZ[AT]K", r"{20,}"),
    ("Facebook", "EAA[A-Z]", r"{20,}"),
    ("Figma", "fig[dour]_", r"{12,}"),
    ("Flutterwave", "FLW(?:PUBK|SECK)", r"{12,}"),
    ("Fly.io", "fo1_|FlyV1 fm2_|fm2_", r"{16,}"),
    ("GitHub", "gh[pousr]_|github_pat_", r"{12,}"),
    ("GitLab", "gl[a-z]{2,8}-|GR1348941", r"{8,}"),
    ("Google", r"AIza|ya29\.|GOCSPX-|1//0", r"{12,}"),
    ("Grafana", "glc_|glsa_|eyJrIjoi", r"{16,}"),
    ("Groq", "gsk_", r"{16,}"),
    ("Heroku", "HRKU-", r"{16,}"),
    ("Hugging Face", "hf_|api_org_", r"{16,}"),
    ("Instagram", "IGQ", r"{20,}"),
    ("Linear", "lin_api_|lin_oauth_", r"{12,}"),
    ("Lob", "(?:live|test)_[0-9a-f]{8}", r"{16,}"),
    ("Mailgun", "key-[0-9a-f]{8}|pubkey-[0-9a-f]{8}", r"{16,}"),
    ("Mapbox", r"[ps]k\.eyJ", r"{16,}"),
    ("Mercado Pago", "APP_USR-", r"{16,}"),
    ("Neon", "napi_", r"{16,}"),
    ("Netlify", "nfp_", r"{12,}"),
    ("New Relic", "NRAK-|NRJS-|NRII-|NRRA-|NRSP-|NRIQ-", r"{8,}"),
    ("ngrok", "ak_2|cr_2", r"{20,}"),
    ("Notion", "ntn_|secret_[A-Za-z0-9]{8}", r"{16,}"),
    ("npm", "npm_", r"{16,}"),
    ("NuGet", "oy2[a-z0-9]{8}", r"{20,}"),
    ("OpenSSH", "SHA256:|AAAA[BCE][0-9]NzaC1|AAAAE2VjZHNh", r"{20,}"),
    ("Perplexity", "pplx-", r"{16,}"),
    ("Plaid", "(?:access|public|link)-(?:sandbox|development|production)-", r"{12,}"),
    ("Pinecone", "pcsk_", r"{16,}"),
    ("PlanetScale", "pscale_(?:tkn|pw|oauth)_", r"{12,}"),
    ("Postman", "PMAK-", r"{12,}"),
    ("PayPal and Braintree", r"access_token\$(?:production|sandbox)\$", r"{12,}"),
    ("Prefect", "pnu_|pnb_", r"{16,}"),
    ("Pulumi", "pul-", r"{16,}"),
    ("PyPI", "pypi-A", r"{12,}"),
    ("Razorpay", "rzp_(?:live|test)_", r"{8,}"),
    ("ReadMe", "rdme_", r"{16,}"),
    ("Render", "rnd_", r"{16,}"),
    ("Replicate", "r8_", r"{16,}"),
    ("Resend", "re_[A-Za-z0-9]{8}", r"{12,}"),
    ("RubyGems", "rubygems_", r"{12,}"),
    ("SendGrid", r"SG\.", r"{12,}"),
    ("Sentry", "sntry[su]_", r"{12,}"),
    ("Shippo", "shippo_(?:live|test)_", r"{12,}"),
    ("Shopify", "shp(?:at|ca|pa|ss|tka|pat)_", r"{12,}"),
    ("Slack", "xox[a-z]-|xapp-|xwfp-", r"{8,}"),
    ("SonarQube", "sq[pau]_", r"{16,}"),
    ("Square", "sq0[a-z]{3}-|EAAA", r"{12,}"),
    ("Stripe", "(?:sk|rk|pk)_(?:live|test)_|whsec_|(?:pi|seti|cs)_(?:live|test)?_?[A-Za-z0-9]{8,64}_secret_", r"{6,}"),
    ("Supabase", "sbp_|sb_secret_|sb_publishable_", r"{12,}"),
    ("Tailscale", "tskey-", r"{8,}"),
    ("Telegram", r"\d{8,11}:AA", r"{16,}"),
    ("Terraform Cloud", r"[A-Za-z0-9]{14}\.atlasv1\.", r"{12,}"),
    ("Twilio", "(?:AC|SK)[0-9a-f]{8}", r"{20,}"),
    ("Typeform", "tfp_", r"{12,}"),
    ("Vault", r"hv[sbr]\.", r"{12,}"),
    ("Vercel", "vc[apirk]_|vercel_", r"{16,}"),
    ("WakaTime", "waka_", r"{12,}"),
    ("xAI", "xai-", r"{16,}"),
    ("Yandex", "t1\\.[A-Z0-9a-z_-]{8}|AQVN|y0_", r"{16,}"),
)

_SHAPES: Final = (
    ("Mailchimp", r"[0-9a-f]{32}-us\d{1,2}"),
    ("Discord", r"[\w-]{23,28}\.[\w-]{5,7}\.[\w-]{25,}"),
    ("Microsoft Entra", r"[\w~.-]{3}\dQ~[\w~.-]{20,}"),
    ("Launch Darkly", r"(?:sdk|mob|api)-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    ("Slack webhook", r"hooks\.slack\.com/(?P<v>[\w/-]{20,})"),
    ("Discord webhook", r"/webhooks/(?P<w>\d{15,}/[\w-]{20,})"),
)

_SHAPE_GATES: Final = r"[0-9a-f]{32}-us\d|[\w-]{23,28}\.[\w-]{5,7}\.[\w-]{25}|\dQ~|(sdk|mob|api)-[0-9a-f]{8}-|hooks\.slack\.com/|/webhooks/\d"

RULES: Final = (
    Rule(
        "token.vendor",
        TOKEN,
        "a key or token in the published form of a known service",
        r"\b(" + "|".join(start for _, start, _ in _SERVICES) + ")",
        r"\b(?:" + "|".join(f"(?:{start}){_ANY}{rest}" for _, start, rest in _SERVICES) + ")",
        lambda match: any(letter.isdigit() or letter.isupper() for letter in match[0]),
    ),
    Rule(
        "token.shape",
        TOKEN,
        "a token in the published shape of a known service",
        _SHAPE_GATES,
        r"(?<![\w-])(?:" + "|".join(shape for _, shape in _SHAPES) + ")",
    ),
)
