"""The constants of a comparison, in one place; all-pairs error on FVC2002 is flat within ±20 % of each."""

from __future__ import annotations

ABSENT = -4.0  # likeness of a padded slot: no real pair is below -1, so padding never wins
PAIRS = 48  # likeliest pairs that enter the relaxation of the alignment
SUPPORTING = 16  # of the shortlist's: of 12 to 48, best at leaving out non-mates at an equal loss of mates (FVC2002)
STRETCH = 5.0, 0.04  # pixels, and share of the distance: how far two distances of a pair may differ
TURN_TOLERANCE = 0.30  # radians; between the turns that two pairs propose
RADIAL_TOLERANCE = 0.25  # radians; between a pair's turn and that of the line that joins two pairs
ROUNDS = 5  # of relaxation, of which half the old value stays each time
PEERS = 8  # agreeing pairs that double a pair's value in one round
MOST_SUPPORT = 4.0  # bound of a pair's value: no clique may run away
STRONGEST = 12  # pairs or minutiae whose mean is a score; fewer shared minutiae decide little
HYPOTHESES = 4  # turns and shifts tried
FINALISTS = 2  # of them, looked at again after refitting and bending
STIFFNESS = 20000.0, 5000.0  # square pixels; what holds scale, and shear, to none
REFITS = 1  # more looks between the first and the last
HEADING_ARM = 400.0  # square pixels; a direction weighs like a place 20 pixels from the centre
WIDE = 14.0, 0.50  # pixels, radians: closeness of the first look
MIDDLE = 10.0, 0.40  # of the looks between
NARROW = 6.5, 0.30  # of the last, after bending
LEAST_CLOSENESS = 0.01  # below it two minutiae are not a pair
UNLIKE_WEIGHT = 0.2  # what a close pair weighs in the fit however unlike its surroundings
BEND_REACH = 70.0  # pixels; how far a paired minutia's error moves its neighbours
BEND_INERTIA = 1.0  # weight of no bending
OVERLAP_REACH = 30.0  # pixels; a minutia this near to one of the other finger lies in the overlap
EXPECTED_REACH = 45.0  # pixels; the same, for what the sparser finger would have to show there

# Not of the comparison's results but of how they are reckoned:
MOST_COST = 60.0  # exp(-60) stands for nothing; smaller numbers are denormal, and ten times as slow
FAR = 1e9  # square pixels; where a slot without a minutia is
