"""The words that :mod:`.direction_words` knows: names of directions, their contexts, and names of anatomy.

All entries are lower case; abbreviations alone are compared as they are written.
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# A form is a series of words that can stand for one another in a sentence, one a direction. Of a word in several forms
# the last counts.
FORMS: dict[str, dict[str, str]] = {
    'comparative': dict(left='left', right='right', upper='higher', lower='lower'),
    'height': dict(left='further left', right='further right', upper='higher up', lower='lower down'),
    'hand': dict(left='left-hand', right='right-hand', upper='upper', lower='lower'),
    'hand side': dict(left='left hand', right='right hand', upper='upper', lower='lower'),
    'atop': dict(left='left of', right='right of', upper='atop', lower='beneath'),
    'touching': dict(left='left of', right='right of', upper='on top of', lower='underneath'),
    'long relation': dict(left='to the left of', right='to the right of', upper='above', lower='below'),
    'relation': dict(left='left of', right='right of', upper='above', lower='below'),
    'ward': dict(left='leftward', right='rightward', upper='upward', lower='downward'),
    'wards': dict(left='leftwards', right='rightwards', upper='upwards', lower='downwards'),
    'top-most': dict(left='left-most', right='right-most', upper='top-most', lower='bottom-most'),
    'hyphen-most': dict(left='left-most', right='right-most', upper='upper-most', lower='lower-most'),
    'topmost': dict(left='leftmost', right='rightmost', upper='topmost', lower='bottommost'),
    'most': dict(left='leftmost', right='rightmost', upper='uppermost', lower='lowermost'),
    'body axis': dict(upper='superior', lower='inferior'),
    'noun': dict(left='left', right='right', upper='top', lower='bottom'),
    'adjective': dict(left='left', right='right', upper='upper', lower='lower'),
}
# Single word -> (form, direction); 'left' and 'right' are nouns or adjectives by what follows.
WORDS: dict[str, tuple[str, str]] = {
    word: (form, direction) for form, words in FORMS.items() for direction, word in words.items() if word.isalpha()
}
CENTER = frozenset({'center', 'centre', 'middle', 'central'})
DIRECTING = CENTER | WORDS.keys()
VERTICAL = frozenset({'upper', 'lower'})

# What may be tied to a direction word by a hyphen: 'left-sided', 'mid-left', 'lower-lobe'. Else it is another word.
PARTS = _words(
    'side sides corner corners edge edges half part parts portion quadrant quadrants quarter region regions area areas '
    'third thirds zone zones border margin pole aspect surface end tip'
)
QUADRANTS = _words('quadrant quadrants')
BEFORE_HYPHEN = _words('mid middle center centre central far extreme outer inner most to')
AFTER_HYPHEN = PARTS | _words('sided hand most center centre middle central to')

# Words that end a noun phrase: what follows them is not what a direction word before them belongs to.
FUNCTION_WORDS = _words(
    'a an the this that these those its his her their my your our of in on at to by from with without within into '
    'onto near next beside besides behind before after over under between among along around across through toward '
    'towards against and or but nor as than then is are was were be been being has have had having do does did can '
    'could may might will would shall should must not no which who whom whose where when while if it he she they we '
    'you i there here showing shows seen appears containing just also only both each above below beneath underneath '
    'atop inside outside about up down off out'
)
# 'left' as a verb or as what remains: 'left behind'; 'left open', but 'the left open door'; 'has left', 'none is left'.
LEFT_BEHIND = _words('behind over out')
LEFT_AS = _words(
    'untouched alone blank open empty unchanged untreated unlabeled unlabelled unmarked intact uncovered unfinished '
    'undisturbed'
)
HAS = _words('has have had having never just already recently')
ARTICLES = _words('the a an this that these those its his her their')
IS = _words('is are was were be been being remains remained')
REMAINDER = _words('what nothing little much more anything all something any none few enough')
# 'right' as correct, straight or at once; before the last ones as exactly, or as the side.
RIGHT_AFTER = _words('all quite absolutely')
RIGHT_ALWAYS = _words('angle angles angled away now answer choice way thing')
RIGHT_BEFORE = _words('next before after through above below beneath underneath')
RIGHT_OR_EXACTLY = _words('behind beside under near by along around between inside outside')
SIDE_BEFORE = _words(
    'the on to at in of from far most mid middle center centre upper lower top bottom more and or slightly a its '
    'his her their extreme very'
)
# 'lower' as less: 'lower density', 'is lower than'.
QUANTITIES = _words(
    'density attenuation intensity signal contrast echogenicity enhancement uptake grade risk number amount degree '
    'level value values resolution quality brightness rate dose frequency concentration count cost limit bound '
    'probability confidence echo'
)
ALONG_HEIGHT = _words('up down')
# 'lies lower', which is not 'the lower one'.
LIES = _words(
    'lies lie lying sits sit sitting situated located placed positioned appears extends reaches stands hangs slightly '
    'somewhat much bit even'
)
# 'top' and 'bottom' as clothes: 'tank top' always, 'white top' maybe.
GARMENTS = _words('tank crop halter tube bikini pajama pyjama')
GARMENT_COLOURS = _words(
    'white black red blue green yellow orange pink purple brown grey gray tan beige navy striped plaid floral '
    'sleeveless'
)
SEEN = _words('described mentioned noted see seen shown as stated given listed')
PICTURES = _words(
    'picture image photo photograph slice scan frame view film radiograph sonogram ultrasound screen shot'
)

# Names of the patient's anatomy, with their adjectives: a side word before one of these names the patient's side.
ANATOMY = _words(
    'lobe lobes lobar lobule lung lungs pulmonary hilum hilar perihilar pleura pleural hemithorax thorax thoracic '
    'hemidiaphragm diaphragm costophrenic cardiophrenic bronchus bronchial apex apices apical base bases basal '
    'basilar breast breasts mammary axilla axillary nipple areola heart cardiac ventricle ventricles ventricular '
    'atrium atria atrial auricle kidney kidneys renal adrenal ureter ureteral hemisphere hemispheres cerebral '
    'cerebellar brain frontal parietal temporal occipital thalamus thalamic putamen caudate hippocampus hippocampal '
    'insula insular liver hepatic biliary portal ovary ovaries ovarian testis testes testicular testicle thyroid '
    'parotid tonsil orbit orbital eye eyes optic retina ear ears maxillary sinus mandible clavicle scapula rib ribs '
    'humerus femur femoral tibia fibula radius ulna iliac pelvis pelvic hip hips knee knees ankle wrist elbow '
    'shoulder shoulders arm arms hand hands leg legs foot feet thigh limb limbs extremity chest abdomen abdominal '
    'flank groin inguinal carotid jugular subclavian colon colic spleen splenic pancreas pancreatic prostate '
    'prostatic psoas neck sided artery arteries arterial vein veins venous nerve muscle coronary circumflex aorta '
    'aortic atrioventricular mediastinum mediastinal trachea tracheal paratracheal retroareolar subareolar '
    'periareolar areolar supraclavicular infraclavicular midclavicular clavicular scapular sternal parasternal '
    'sternum costal intercostal subcostal retrocrural paraspinal paravertebral vertebra vertebrae vertebral spine '
    'spinal cervical lumbar sacral sacroiliac sacrum parahilar infrahilar suprahilar subpleural retrocardiac '
    'paracardiac pericardial parenchyma parenchymal fissure retroperitoneal perinephric perirenal pararenal paracolic '
    'subhepatic subphrenic subdiaphragmatic perihepatic perisplenic peripancreatic gastric duodenal jejunal ileal '
    'gallbladder bladder uterus uterine adnexa adnexal fallopian tubal parametrial scrotum scrotal epididymis '
    'epididymal spermatic lymph nodal tonsillar nasal nostril facial cheek cheeks jaw maxilla mandibular mastoid '
    'ethmoid sphenoid zygomatic laryngeal pharyngeal vocal parathyroid submandibular sublingual cortex cortical '
    'subcortical ganglia amygdala cingulate lentiform pallidus periventricular sylvian hemispheric frontoparietal '
    'temporoparietal parietooccipital macula macular fovea cornea corneal forearm forearms finger fingers thumb '
    'thumbs toe toes heel heels ankles wrists elbows buttock eyebrow popliteal brachial ulnar tibial fibular peroneal '
    'patella patellar meniscus acetabulum acetabular humeral effusion effusions pneumothorax pneumothoraces '
    'hemothorax hydrothorax empyema hydronephrosis pneumonia'
)
# Endings of what was done to an organ: 'left nephrectomy'.
SURGERY = ('ectomy', 'ectomies', 'plasty', 'plasties', 'otomy', 'ostomy', 'pexy')
# Clock positions of these organs are the patient's, seen from the front, not the picture's.
CLOCK_ORGANS = _words('breast breasts nipple areola areolar mammary prostate retina retinal cornea corneal')
# 'superior vena cava' and the like are names, and say nothing of a place.
NAMED_BY_AXIS = _words('vena mesenteric sagittal gluteal thyroid epigastric colliculus')

_HEIGHTS = dict(U='upper', L='lower')
SIDE_LETTERS = dict(R='right', L='left')  # in brackets or before anatomy; also of 'Rt', 'Lt'
# Abbreviation -> what its first letters say. RUL: right upper lobe; RUZ: zone; RUQ: quadrant of the abdomen.
ABBREVIATIONS: dict[str, tuple[str, ...]] = {
    side + height + part: (SIDE_LETTERS[side], _HEIGHTS[height]) for side in 'RL' for height in 'UL' for part in 'LZQ'
}
ABBREVIATIONS |= {side + 'MZ': (SIDE_LETTERS[side], 'center') for side in 'RL'}
# UOQ: upper outer quadrant of a breast.
ABBREVIATIONS |= {height + ring + 'Q': (_HEIGHTS[height],) for height in 'UL' for ring in 'OI'}

# Places of the body that have a side without saying it and no counterpart: (pattern, side, kind).
ONE_SIDED: tuple[tuple[str, str, str], ...] = (
    (r'(?:(?:left|right)[\s-]+)?middle[\s-]+lobes?', 'right', 'lobe'),
    (r'RML', 'right', 'lobe'),
    (r'lingula(?:r)?', 'left', 'segment'),
    (r'(?:caudate|quadrate)[\s-]+lobes?', 'left', 'segment'),
    (r'(?:right[\s-]+)?(?:hepatic|right colic)[\s-]+flexure', 'right', 'segment'),
    (r'(?:left[\s-]+)?(?:splenic|left colic)[\s-]+flexure', 'left', 'segment'),
    (r'ca?ecum|(?:ileoca?ecal|appendix|ascending[\s-]+colon)', 'right', 'segment'),
    (r'(?:descending|sigmoid)[\s-]+colon', 'left', 'segment'),
    (r'(?:cardiac|heart)[\s-]+apex|apex[\s-]+of[\s-]+the[\s-]+heart', 'left', 'segment'),
    (r'aortic[\s-]+(?:arch|knob)', 'left', 'segment'),
)
