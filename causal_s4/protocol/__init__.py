"""The question, as frozen values: no data, no arithmetic.

``vocabulary`` spells the words of the field, ``methods`` says what goes with what, ``protocol`` is
the study file. Importing this package imports none of them, so a caller who needs a word does not
pay for the validation of study files.
"""
