"""Makes fixtures.json: texts with the scores that the field's reference tools give them.

    python3 -m venv venv
    venv/bin/pip install sacrebleu==2.6.0 rouge-score==0.1.2
    venv/bin/python fixtures.py > fixtures.json
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
    json.dump(cases, sys.stdout, ensure_ascii=False, indent=1)
    print()


main()
