"""Makes fixtures.json: texts with the scores that the field's reference tools give them; and corpora.json: what
they give runs of these texts together, each a corpus.

    python3 -m venv venv
    venv/bin/pip install sacrebleu==2.6.0 rouge-score==0.1.2
    venv/bin/python fixtures.py > fixtures.json
    venv/bin/python fixtures.py corpora > corpora.json
"""

import collections
import json
import random
import re
import string
import sys

import sacrebleu
from rouge_score import rouge_scorer

WORDS = """the a an cat dog sat on mat, red house; quickly ran (far) away. Paris is in France! 3.14 1,000
U.S.A. state-of-the-art don't it's "quoted" well-known 2-3 e.g. café naïve Zürich Straße größer élève
summary model answers question when where over under between and or not never always half price $5
100% ratio=2 http://a.b/c?d=e &amp; &quot;x&quot; <b> été 東京 は 日本 Москва город :) ... -- [1] {x} _y_ ~z~ A.
an""".split()


def sentence(rng, longest):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, longest)))


def edited(rng, text):
    words = text.split(" ")
    for _ in range(rng.randint(0, 1 + len(words) // 2)):
        place = rng.randrange(len(words) + 1)
        action = rng.random()
        if action < 0.3:
            words.insert(place, rng.choice(WORDS))
        elif action < 0.6 and place < len(words) and len(words) > 1:
            del words[place]
        elif action < 0.8 and place < len(words):
            words[place] = words[place].upper()
        else:
            rng.shuffle(words)
    return rng.choice([" ", " ", "\n", "  "]).join(words)


def squad(text):
    text = "".join(one for one in text.lower() if one not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", text).split()


def corpus_bleu(metric, cases):
    """sacrebleu's corpus_bleu; where a text has fewer references than another the rest is None."""
    most = max(len(case["references"]) for case in cases)
    references = [
        [case["references"][at] if at < len(case["references"]) else None for case in cases]
        for at in range(most)
    ]
    return metric.corpus_score([case["response"] for case in cases], references).score / 100


def corpus_f1(cases):
    """Of all words together, each text being held against the first of the references that fit it best."""
    common = found = wanted = 0
    for case in cases:
        best = max(case["references"], key=lambda reference: token_f1(case["response"], [reference]))
        of_response, of_reference = squad(case["response"]), squad(best)
        both = collections.Counter(of_response) & collections.Counter(of_reference)
        common += sum(both.values())
        found += len(of_response)
        wanted += len(of_reference)
    precision, recall = common / max(found, 1), common / max(wanted, 1)
    return {
        "corpus_precision": precision,
        "corpus_recall": recall,
        "corpus_f1": 2 * precision * recall / max(precision + recall, 1e-300),
    }


def corpora(cases):
    rng = random.Random(11)
    whole, lower = sacrebleu.BLEU(), sacrebleu.BLEU(lowercase=True)
    for _ in range(30):
        first = rng.randrange(len(cases) - 1)
        last = min(len(cases), first + rng.choice([1, 2, 5, 20, 80]))
        part = cases[first:last]
        yield {
            "first": first,
            "last": last,
            "corpus_bleu": corpus_bleu(whole, part),
            "corpus_bleu lower": corpus_bleu(lower, part),
            **corpus_f1(part),
        }


def token_f1(response, references):
    def one(reference):
        found, wanted = squad(response), squad(reference)
        if not found or not wanted:
            return float(found == wanted)
        common = sum((collections.Counter(found) & collections.Counter(wanted)).values())
        if common == 0:
            return 0.0
        precision, recall = common / len(found), common / len(wanted)
        return 2 * precision * recall / (precision + recall)

    return max(one(reference) for reference in references)


def main():
    rng = random.Random(7)
    rouge = rouge_scorer.RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    chrf, chrf_pp = sacrebleu.CHRF(), sacrebleu.CHRF(word_order=2, lowercase=True)
    bleu = sacrebleu.BLEU(effective_order=True)
    bleu_lower = sacrebleu.BLEU(effective_order=True, lowercase=True)
    cases = []
    while len(cases) < 240:
        first = sentence(rng, rng.choice([3, 8, 30]))
        references = [first] + [edited(rng, first) for _ in range(rng.choice([0, 0, 1, 2]))]
        response = edited(rng, first) if rng.random() < 0.85 else sentence(rng, 12)
        by_rouge = rouge.score_multi(references, response)
        cases.append(
            {
                "response": response,
                "references": references,
                "token_f1": token_f1(response, references),
                **{
                    f"{kind} {part}": getattr(by_rouge[kind], field)
                    for kind in ("rouge1", "rouge2", "rougeL")
                    for part, field in (("f1", "fmeasure"), ("precision", "precision"), ("recall", "recall"))
                },
                "bleu": bleu.sentence_score(response, references).score / 100,
                "bleu lower": bleu_lower.sentence_score(response, references).score / 100,
                "chrf": chrf.sentence_score(response, references).score / 100,
                "chrf++ lower": chrf_pp.sentence_score(response, references).score / 100,
            }
        )
    told = list(corpora(cases)) if sys.argv[1:] == ["corpora"] else cases
    json.dump(told, sys.stdout, ensure_ascii=False, indent=1)
    print()


main()
