"""Writes the figures of WORK/facts.json as the tables of the model card."""
import json
import sys


def figure(values, digits=3):
    return f"{values[0]:.{digits}f} ({values[1]:.{digits}f} to {values[2]:.{digits}f})"


def main(path):
    facts = json.load(open(path))
    fold, held = facts["fold0"], facts["heldOut"]
    print(f"**Fold 0** ({fold['films'][0]} normal, {fold['films'][1]} with pneumonia)\n\n| films | AUC | sensitivity | specificity |\n|---|---|---|---|")
    for name, row in fold["stress"].items():
        print(f"| {name} | {figure(row['auc'])} | {figure(row['sensitivity'])} | {figure(row['specificity'])} |")
    print(f"\n**Held-out patients** ({held['films'][0]} normal, {held['films'][1]} with pneumonia): AUC {figure(held['auc'])}, sensitivity {figure(held['sensitivity'])}, specificity {figure(held['specificity'])}\n")
    print("| right of | share |\n|---|---|")
    for name, values in fold["subgroups"].items():
        print(f"| {name} | {figure(values)} |")
    print("\n| cue | its own AUC | the model's with the cue levelled |\n|---|---|---|")
    for name, (alone, levelled) in fold["cues"].items():
        print(f"| {name} | {max(alone, 1 - alone):.3f} | {levelled:.3f} |")
    print("\n| refused, of | share |\n|---|---|")
    for name, shares in (("fold 0", fold["falseRefusals"]), ("held-out patients", held["falseRefusals"]), *facts["foreign"].items()):
        print(f"| {name} | {shares['any'] * 100:.1f} % |")


if __name__ == "__main__":
    main(sys.argv[1])
