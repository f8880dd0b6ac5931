"""From a run.yaml to boxes on an image: search one knowledge, look at the candidates, train with the best, predict."""

import sys

import detkds

run_yaml, image = sys.argv[1:] or ("examples/bccd-few.yaml", "image.jpg")

run = detkds.Run.open(run_yaml)
study = run.search("global")
print(study.trials_table())
student = run.train(study.best_distilled.recipe)
found = student.predict(image)
detkds.draw(image, found, min_score=0.3).save("boxes.png")
