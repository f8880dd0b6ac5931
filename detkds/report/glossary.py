"""The words of a page, for a reader who has not read the paper."""

GLOSSARY = (
    ("AP", "Average precision as COCO defines it, the mean over IoU thresholds .50 to .95; higher is better, 100 is perfect."),
    ("IoU", "Intersection over union of two boxes or masks: 0 where they do not touch, 1 where they are equal."),
    ("teacher", "The large detector, trained before, that the student learns from. It is not changed."),
    ("student", "The small detector that is trained and used afterwards."),
    ("distillation", "Training the student with additional losses that compare what it computes with what the teacher computes."),
    (
        "knowledge",
        "What is compared: whole feature maps (global), their foreground and background (fgbg), features of single objects "
        "(instance), class scores (logits) or boxes (localization).",
    ),
    (
        "genome",
        "One distillation loss as words, for example “global: none > none > norm_N | l2 x 8”: transforms of the features, "
        "then a distance, then its weight.",
    ),
    ("recipe", "The losses that the student is trained with, at most one genome per knowledge."),
    ("candidate", "One genome or recipe that the search tried by a short training."),
    (
        "search-train, search-val",
        "Two disjoint parts of the training images. Candidates are trained on the first and scored on the second.",
    ),
    ("test images", "Images that neither training nor search uses. All figures of the detectors are measured on them."),
    ("interval", "A range that holds the figure in 95 of 100 repetitions of the draw of the images (or of the seeds, where it says so)."),
    ("neck level", "One resolution of the feature pyramid; a coarser level sees larger objects."),
)
"""(word, meaning), in the order in which a page uses them."""
